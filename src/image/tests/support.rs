//! A state folder of its own, archives made by hand, and servers that end with the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::ids::Digest;
use crate::image::{ImageStore, Settings};

pub(super) struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(super) fn store(&self) -> ImageStore {
        let settings = Settings { connect_timeout: Duration::from_millis(600), ..Settings::none() };
        ImageStore::open_with(&self.root(), settings).unwrap()
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Temporary files and folders that an operation should have removed.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let dirs = ["images", "images/blobs/sha256", "layers"].map(|dir| self.root().join(dir));
        let entries = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap());
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

/// Returns a layer: names that end in a slash are folders.
pub(super) fn layer(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if name.ends_with('/') { 0o755 } else { 0o644 });
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

pub(super) fn compress(bytes: &[u8], how: &str) -> Vec<u8> {
    match how {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zst" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// Makes an OCI layout with one image; returns its folder.
pub(super) fn layout(dir: &Path, layers: &[Vec<u8>], how: &str, name: &str) -> PathBuf {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let keep = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({"digest": digest, "size": bytes.len()})
    };
    let (manifest, config, packed) = image(layers, how, "amd64");
    packed.iter().for_each(|blob| _ = keep(blob));
    keep(&config);
    let mut descriptor = keep(&manifest);
    descriptor["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    dir.to_owned()
}

/// Returns manifest, configuration and packed layers of an image.
pub(super) fn image(layers: &[Vec<u8>], how: &str, architecture: &str) -> (Vec<u8>, Vec<u8>, Vec<Vec<u8>>) {
    let packed: Vec<Vec<u8>> = layers.iter().map(|layer| compress(layer, how)).collect();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    let kind = match how {
        "gz" => "application/vnd.oci.image.layer.v1.tar+gzip",
        "zst" => "application/vnd.oci.image.layer.v1.tar+zstd",
        _ => "application/vnd.oci.image.layer.v1.tar",
    };
    let descriptor =
        |kind: &str, blob: &[u8]| json!({"mediaType": kind, "digest": Digest::of(blob), "size": blob.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": packed.iter().map(|blob| descriptor(kind, blob)).collect::<Vec<_>>(),
    });
    (manifest.to_string().into_bytes(), config, packed)
}

/// Runs `skopeo` to its end; returns its output.
pub(super) fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("timeout").args(["60", "skopeo"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?} (apt install skopeo) failed: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
pub(super) fn until(mut condition: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Debian's `docker-registry` on loopback.
pub(super) struct Registry {
    process: Child,
    pub(super) address: String,
    pub(super) storage: PathBuf,
}

impl Registry {
    pub(super) fn start(world: &World) -> Self {
        let storage = world.dir().join("registry");
        std::fs::create_dir_all(&storage).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
            storage.display()
        );
        let config = world.write("registry.yml", config.as_bytes());
        // `timeout` bounds its life even if the test is killed, and passes our SIGTERM on.
        let mut process = Command::new("timeout")
            .args(["120", "docker-registry", "serve"])
            .arg(config)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.ok()?;
            let rest = line.split_once("listening on ")?.1;
            Some(rest.split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).next()?.to_owned())
        });
        // Its log must go somewhere, or it stops when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.expect("docker-registry did not start (apt install docker-registry)");
        Self { process, address, storage }
    }

    /// Pushes an OCI layout's image.
    pub(super) fn push(&self, layout: &Path, name: &str, to: &str) {
        let from = format!("oci:{}:{name}", layout.display());
        skopeo(&["copy", "--dest-tls-verify=false", &from, &format!("docker://{}/{to}", self.address)]);
    }

    /// Returns the file in which the registry keeps a blob.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.storage.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        _ = self.process.wait();
    }
}

/// An answer of a [`Fake`] registry.
#[derive(Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Closes the connection after so many bytes of the body.
    pub(super) cut: Option<usize>,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }
}

/// A registry that misbehaves as a test wants it.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    /// Request lines and authorization, in order.
    pub(super) requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `answer` gets the path, the `Range` and the `Authorization` header.
    pub(super) fn start(answer: impl Fn(&str, &str, &str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let log = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                _ = serve(&stream, &answer, &log);
            }
        });
        Self { address, requests }
    }
}

fn serve(
    mut stream: &TcpStream,
    answer: &impl Fn(&str, &str, &str) -> Answer,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut first = [0; 1];
    stream.peek(&mut first)?;
    if first[0] == 0x16 {
        // TLS: this registry speaks none.
        stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")?;
        let mut rest = [0; 4096];
        _ = stream.read(&mut rest);
        return Ok(());
    }
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or("").to_owned();
    let (mut range, mut authorization) = (String::new(), String::new());
    for line in lines {
        let line = line?;
        let Some((key, value)) = line.split_once(": ") else { break };
        match key.to_ascii_lowercase().as_str() {
            "range" => range = value.to_owned(),
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    log.lock().unwrap().push(format!("{path} {range}").trim_end().to_owned());
    let answer = answer(&path, &range, &authorization);
    let headers: String = answer.headers.iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect();
    let length = answer.body.len();
    write!(stream, "HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n", answer.status)?;
    stream.write_all(&answer.body[..answer.cut.unwrap_or(length)])?;
    stream.flush()
}
