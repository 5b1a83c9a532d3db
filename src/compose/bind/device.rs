//! Devices, accelerators and block I/O.

use std::path::PathBuf;

use super::Binder;
use super::read::{items, text, texts, texts_by_key};
use crate::compose::model::{
    BlkioConfig, BlkioOperations, BlkioRate, BlkioWeight, Bytes, Device, DeviceRequest, DeviceRule,
};
use crate::compose::tree::Node;

impl Binder<'_> {
    pub(super) fn devices(&mut self, node: &Node) -> Vec<Device> {
        let devices = items(node, "devices").iter().filter(|item| item.as_map().is_some());
        devices
            .map(|item| {
                let source = text(item, "source").unwrap_or_default();
                // A CDI name stands for nodes whose places its own file names.
                if let Some(at) = item.get("source")
                    && !source.starts_with('/')
                    && !source.contains('=')
                {
                    self.error(at, format!("{source:?} is neither the path of a device nor a CDI name"));
                }
                Device {
                    source,
                    target: text(item, "target"),
                    permissions: item.get("permissions").and_then(|at| self.unit(at)),
                }
            })
            .collect()
    }

    pub(super) fn device_rules(&mut self, node: &Node) -> Vec<DeviceRule> {
        items(node, "device_cgroup_rules").iter().filter_map(|item| self.unit(item)).collect()
    }

    pub(super) fn device_requests(&mut self, node: &Node, key: &str) -> Vec<DeviceRequest> {
        let requests = items(node, key).iter().filter(|item| item.as_map().is_some());
        requests
            .map(|item| DeviceRequest {
                capabilities: texts(item, "capabilities"),
                count: item.get("count").and_then(|at| self.unit(at)),
                device_ids: texts(item, "device_ids"),
                driver: text(item, "driver"),
                options: texts_by_key(item, "options"),
            })
            .collect()
    }

    pub(super) fn blkio(&mut self, node: &Node) -> BlkioConfig {
        let weight_device = items(node, "weight_device")
            .iter()
            .map(|item| BlkioWeight { path: self.device_path(item), weight: self.weight(item).unwrap_or_default() });
        let weight_device = weight_device.collect();
        BlkioConfig {
            weight: self.weight(node),
            weight_device,
            device_read_bps: self.rates(node, "device_read_bps"),
            device_read_iops: self.operations(node, "device_read_iops"),
            device_write_bps: self.rates(node, "device_write_bps"),
            device_write_iops: self.operations(node, "device_write_iops"),
        }
    }

    /// Reads a weight; 0 is none.
    fn weight(&mut self, node: &Node) -> Option<u16> {
        if node.get("weight").and_then(Node::as_int) == Some(0) {
            return None;
        }
        self.whole(node, "weight", 10..=1000)
    }

    fn rates(&mut self, node: &Node, key: &str) -> Vec<BlkioRate> {
        let rates = items(node, key).iter();
        rates
            .map(|item| BlkioRate {
                path: self.device_path(item),
                rate: item.get("rate").and_then(|at| self.unit(at)).unwrap_or(Bytes(0)),
            })
            .collect()
    }

    fn operations(&mut self, node: &Node, key: &str) -> Vec<BlkioOperations> {
        let rates = items(node, key).iter();
        rates
            .map(|item| BlkioOperations {
                path: self.device_path(item),
                rate: self.unit(item.get("rate").unwrap_or(item)).map_or(0, Bytes::get),
            })
            .collect()
    }

    fn device_path(&mut self, node: &Node) -> PathBuf {
        let path = text(node, "path").unwrap_or_default();
        if !path.starts_with('/') {
            self.error(node.get("path").unwrap_or(node), format!("{path:?} is not the path of a device"));
        }
        PathBuf::from(path)
    }
}
