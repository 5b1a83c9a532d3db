//! The same file under `docker compose`, where a Docker engine runs.

use std::process::Command;

use super::support::{World, host, images};
use super::{Measured, file, measure as rounds, pss_of, timed};

const IMAGE: &str = "stack-bench-busybox";

/// Returns what Docker calls itself, or why it cannot be measured.
pub(crate) fn available() -> Result<String, String> {
    let ask = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("docker").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let engine = ask(&["version", "--format", "{{.Server.Version}}"]).ok_or("no Docker engine answers")?;
    let compose = ask(&["compose", "version", "--short"]).ok_or("the docker command has no compose")?;
    Ok(format!("Engine {engine}, Compose {compose}"))
}

/// Returns what Docker takes for so many services.
pub(crate) fn measure(world: &World, size: usize, times: usize) -> Measured {
    let mut import = Command::new("docker");
    import.args(["import", "-c", "ENV PATH=/bin"]).arg(images::busybox().tar).arg(IMAGE);
    timed(&mut import);
    world.write("docker.yml", &file(size, IMAGE));
    let run = |arguments: &[&str]| {
        let mut command = Command::new("docker");
        command.args(["compose", "-f"]).arg(world.folder().join("docker.yml")).args(["-p", &world.project]);
        timed(command.args(arguments))
    };
    let measured = rounds(times.min(3), run, pss);
    let _ = Command::new("docker").args(["image", "rm", IMAGE]).output();
    measured
}

/// Returns the PSS, in KiB, of the engine with all its helpers.
pub(crate) fn pss() -> u64 {
    let helpers = ["dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy", "docker-init"];
    let is_docker = |p: &host::Process| p.executable.file_name().is_some_and(|name| helpers.iter().any(|h| name == *h));
    host::processes().filter(is_docker).map(|p| pss_of(p.pid)).sum()
}
