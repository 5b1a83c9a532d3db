//! What is put into a container from outside: ports, mounts, networks, devices.

use super::{Bare, Convert, Index, Object, Shape, Size, Twice, Whole, field};

const NOT_YET: &str = "the engine does not act on it yet";

/// One published port.
pub(super) static PORT: Object = Object {
    index: Index::new(),
    name: "a port",
    required: &["target"],
    fields: rows![
        /// Port in the container.
        field("target", Shape::Int(Whole::Usual)).within(0, i64::MAX),
        /// Port on this machine, or a range of which a free one is taken. Default: any free port.
        field("published", Shape::Short(Convert::Published, &Shape::Label)),
        /// Address of this machine on which the port is published. Default: all.
        field("host_ip", Shape::Text),
        /// `tcp`, `udp` or `sctp`. Default: `tcp`.
        field("protocol", Shape::Text).such_as(&["tcp", "udp", "sctp"]),
        /// `host` or `ingress`. On one machine both mean the same. Default: `ingress`.
        field("mode", Shape::Text).such_as(&["ingress", "host"]),
        /// Name of the port, as documentation.
        field("name", Shape::Text),
        /// Protocol that is spoken, as `http`; as documentation.
        field("app_protocol", Shape::Text),
    ],
};

/// One entry of `volumes`.
pub(super) static MOUNT: Object = Object {
    index: Index::new(),
    name: "a mount",
    required: &["type"],
    fields: rows![
        /// `bind` (a path of this machine), `volume`, `tmpfs` (in memory) or `image` (files of another image).
        field("type", Shape::OneOf(&["bind", "volume", "tmpfs", "image", "npipe", "cluster"])).late(),
        /// Path on this machine, name of the volume, or name of the image. Without it a volume has no name.
        field("source", Shape::Text),
        /// Absolute path in the container.
        field("target", Shape::Text),
        /// Makes the mount read-only. Default: `false`.
        field("read_only", Shape::Bool),
        /// `consistent`, `cached` or `delegated`, which mean the same on Linux.
        field("consistency", Shape::Text).such_as(&["consistent", "cached", "delegated"]),
        /// What holds for the type `bind`.
        field("bind", Shape::Object(&MOUNT_BIND)),
        /// What holds for the type `volume`.
        field("volume", Shape::Object(&MOUNT_VOLUME)),
        /// What holds for the type `tmpfs`.
        field("tmpfs", Shape::Object(&MOUNT_TMPFS)),
        /// What holds for the type `image`.
        field("image", Shape::Object(&MOUNT_IMAGE)),
    ],
};

static MOUNT_BIND: Object = Object {
    index: Index::new(),
    name: "bind options",
    required: &[],
    fields: rows![
        /// How mounts that come later spread: `private`, `shared` or `slave`, each also with an `r` in front. Default:
        /// `rprivate`.
        field("propagation", Shape::Text).such_as(&["rprivate", "private", "rshared", "shared", "rslave", "slave"]),
        /// Makes a missing path on this machine, as a folder. `false`: that is a mistake. Default: `true`.
        field("create_host_path", Shape::Bool),
        /// Whether mounts below the source come along, and whether `read_only` holds for them. Default: `enabled`.
        field("recursive", Shape::OneOf(&["enabled", "disabled", "writable", "readonly"])).unused(NOT_YET),
        // SELinux is off where it is not known, so this is silent.
        /// Gives the files an SELinux label: `z` for many containers, `Z` for this one alone.
        field("selinux", Shape::OneOf(&["z", "Z"])),
    ],
};

static MOUNT_VOLUME: Object = Object {
    index: Index::new(),
    name: "volume options",
    required: &[],
    fields: rows![
        /// Leaves an empty volume empty, where the image's files would be copied into it. Default: `false`.
        field("nocopy", Shape::Bool),
        /// Folder of the volume that is mounted. Default: the whole.
        field("subpath", Shape::Text),
        /// Labels of the volume that this mount makes.
        field("labels", Shape::KeyValues(Bare::Empty)).unused(NOT_YET),
    ],
};

static MOUNT_TMPFS: Object = Object {
    index: Index::new(),
    name: "tmpfs options",
    required: &[],
    fields: rows![
        /// Most memory that it may use, in bytes or as `64m`. Default: no limit.
        field("size", Shape::Bytes(Size::Whole)).within(0, i64::MAX),
        /// Permission bits of the folder, octal. Default: `1777`.
        field("mode", Shape::Int(Whole::BareCut)).within(0, i64::MAX),
    ],
};

static MOUNT_IMAGE: Object = Object {
    index: Index::new(),
    name: "image options",
    required: &[],
    fields: rows![
        /// Folder of the image that is mounted. Default: the whole.
        field("subpath", Shape::Text),
    ],
};

/// One entry of `networks`.
pub(super) static ENDPOINT: Object = Object {
    index: Index::new(),
    name: "a service's network",
    required: &[],
    fields: rows![
        /// More names of the service in this network.
        field("aliases", Shape::Texts(Twice::Once)),
        /// Fixed IPv4 address of the container. The network needs a `subnet` that holds it.
        field("ipv4_address", Shape::Text),
        /// Fixed IPv6 address of the container. The network needs a `subnet` that holds it.
        field("ipv6_address", Shape::Text),
        /// More addresses of the interface, which the network does not administer.
        field("link_local_ips", Shape::Texts(Twice::Once)).unused(NOT_YET),
        /// Hardware address of the container in this network. Default: made from its address.
        field("mac_address", Shape::Text),
        /// Name of the interface in the container, at most 15 letters. Default: `eth0`, `eth1` and so on.
        field("interface_name", Shape::Text),
        /// Order in which networks are joined, highest first. Default: 0.
        field("priority", Shape::Int(Whole::BareCut)),
        /// The network with the highest number has the way to the outside. Default: 0.
        field("gw_priority", Shape::Int(Whole::BareCut)),
        /// Options of the network driver for this container.
        field("driver_opts", Shape::Options { null: false }).unused(NOT_YET),
    ],
};

/// One entry of `devices`.
pub(super) static DEVICE: Object = Object {
    index: Index::new(),
    name: "a device",
    required: &["source"],
    fields: rows![
        /// Device on this machine, as `/dev/ttyUSB0`, or a CDI name.
        field("source", Shape::Text),
        /// Device in the container. Default: as the source.
        field("target", Shape::Text),
        /// What is allowed: `r` to read, `w` to write, `m` to make the node. Default: `rwm`.
        field("permissions", Shape::Text),
    ],
};

/// `blkio_config`.
pub(super) static BLKIO: Object = Object {
    index: Index::new(),
    name: "blkio_config",
    required: &[],
    fields: rows![
        /// Weight of the container when devices are busy, from 10 to 1000. Default: 500.
        field("weight", Shape::Int(Whole::Bare)).within(0, i64::MAX).late(),
        /// Weights for single devices.
        field("weight_device", Shape::List(&Shape::Object(&BLKIO_WEIGHT), Twice::Keep)),
        /// Most bytes read from a device in a second.
        field("device_read_bps", Shape::List(&Shape::Object(&BLKIO_RATE), Twice::Keep)),
        /// Most read operations on a device in a second.
        field("device_read_iops", Shape::List(&Shape::Object(&BLKIO_RATE), Twice::Keep)),
        /// Most bytes written to a device in a second.
        field("device_write_bps", Shape::List(&Shape::Object(&BLKIO_RATE), Twice::Keep)),
        /// Most write operations on a device in a second.
        field("device_write_iops", Shape::List(&Shape::Object(&BLKIO_RATE), Twice::Keep)),
    ],
};

static BLKIO_WEIGHT: Object = Object {
    index: Index::new(),
    name: "a device weight",
    required: &[],
    fields: rows![
        /// Path of the device, as `/dev/sda`.
        field("path", Shape::Text),
        /// Its weight, from 10 to 1000.
        field("weight", Shape::Int(Whole::Bare)).within(0, i64::MAX).late().given(),
    ],
};

static BLKIO_RATE: Object = Object {
    index: Index::new(),
    name: "a device rate",
    required: &[],
    fields: rows![
        /// Path of the device, as `/dev/sda`.
        field("path", Shape::Text),
        /// Bytes a second (or as `10m`), or operations a second.
        field("rate", Shape::Bytes(Size::Whole)).given(),
    ],
};

/// `credential_spec`.
pub(super) static CREDENTIAL_SPEC: Object = Object {
    index: Index::new(),
    name: "credential_spec",
    required: &[],
    fields: rows![
        /// Config with the specification.
        field("config", Shape::Text),
        /// File with the specification.
        field("file", Shape::Text),
        /// Value in the Windows registry with the specification.
        field("registry", Shape::Text),
    ],
};
