//! Compose files that were published to a registry as an artifact: each layer is a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::image::{Artifact, Settings, artifact};

/// What an artifact of Compose files calls itself, or its empty configuration.
const KINDS: [&str; 2] =
    ["application/vnd.docker.compose.project", "application/vnd.docker.compose.config.empty.v1+json"];
const COMPOSE_FILE: &str = "application/vnd.docker.compose.file+yaml";
const ENV_FILE: &str = "application/vnd.docker.compose.envfile";
/// The file that all layers without a name of their own are documents of.
const WHOLE: &str = "compose.yaml";

/// Returns the folder with the files of an artifact.
pub(super) fn fetch(folder: &Path, reference: &str) -> Result<PathBuf, String> {
    let reference = reference.to_owned();
    // The command may be within a runtime already, which cannot wait for another one.
    let asked = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        runtime.block_on(artifact(&Settings::from_env(), &reference)).map_err(|error| error.to_string())
    });
    let found = asked.join().map_err(|_| "the registry's answer could not be read".to_owned())??;
    let files = files(&found)?;
    super::kept(folder, found.digest.hex(), |made| {
        for (name, bytes) in files {
            fs::write(made.join(&name), bytes).map_err(|error| format!("cannot write {name}: {error}"))?;
        }
        Ok(())
    })
}

/// Returns names and contents of the files in an artifact.
fn files(artifact: &Artifact) -> Result<Vec<(String, Vec<u8>)>, String> {
    if !KINDS.contains(&artifact.kind.as_str()) {
        return Err(format!("it is no Compose file, but {}", artifact.kind));
    }
    let mut whole = Vec::new();
    let mut files = Vec::new();
    for layer in &artifact.layers {
        let annotation = |key: &str| layer.annotations.get(key).map(String::as_str);
        match layer.media_type.as_str() {
            COMPOSE_FILE if annotation("com.docker.compose.extends").is_none() => {
                if !whole.is_empty() {
                    whole.extend_from_slice(b"\n---\n");
                }
                whole.extend_from_slice(&layer.bytes);
            }
            COMPOSE_FILE => files.push((named(annotation("com.docker.compose.file"))?, layer.bytes.clone())),
            ENV_FILE => files.push((named(annotation("com.docker.compose.envfile"))?, layer.bytes.clone())),
            _ => {}
        }
    }
    files.push((WHOLE.to_owned(), whole));
    Ok(files)
}

/// Returns the name of a file in the artifact's folder; whoever published it has no say about other folders.
fn named(name: Option<&str>) -> Result<String, String> {
    match name {
        Some(name) if !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']) => Ok(name.to_owned()),
        Some(".env") => Ok(".env".to_owned()),
        Some(name) => Err(format!("a file in it is called {name:?}")),
        None => Err("a file in it has no name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ArtifactLayer;

    /// Media type, annotations, text.
    type Layer<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

    fn check(kind: &str, layers: &[Layer<'_>], expected: Result<&[(&str, &str)], &str>) {
        let layers = layers.iter().map(|(media_type, annotations, text)| ArtifactLayer {
            media_type: (*media_type).to_owned(),
            annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            bytes: text.as_bytes().to_vec(),
        });
        let digest = crate::ids::Digest::of(b"x");
        let found = files(&Artifact { digest, kind: kind.to_owned(), layers: layers.collect() });
        let found = found.map(|files| {
            files.into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect::<Vec<_>>()
        });
        let expected = expected
            .map(|files| files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect())
            .map_err(str::to_owned);
        assert_eq!(found, expected);
    }

    #[test]
    fn layers_are_files() {
        let extended = [("com.docker.compose.extends", "true"), ("com.docker.compose.file", "base.yml")];
        let env = [("com.docker.compose.envfile", "a.env")];
        check(
            KINDS[0],
            &[
                (COMPOSE_FILE, &[], "a: 1"),
                (COMPOSE_FILE, &extended, "b"),
                (ENV_FILE, &env, "c"),
                (COMPOSE_FILE, &[], "d: 1"),
            ],
            Ok(&[("base.yml", "b"), ("a.env", "c"), ("compose.yaml", "a: 1\n---\nd: 1")]),
        );
        let outside = [("com.docker.compose.envfile", "../x")];
        check(KINDS[1], &[(ENV_FILE, &outside, "")], Err("a file in it is called \"../x\""));
        check(
            "application/vnd.oci.image.config.v1+json",
            &[],
            Err("it is no Compose file, but application/vnd.oci.image.config.v1+json"),
        );
    }
}
