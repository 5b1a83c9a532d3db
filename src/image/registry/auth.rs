//! Credentials, from where `docker login` leaves them: `config.json` or a credential helper.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

use super::super::ImageError;

/// Time for a credential helper, which may have to ask the user's key ring.
const HELPER_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: HashMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Returns the credentials for a registry; anonymous where there are none.
pub(super) async fn find(config: Option<&Path>, host: &str) -> Result<RegistryAuth, ImageError> {
    let Some(path) = config else { return Ok(RegistryAuth::Anonymous) };
    let failed = |reason: String| ImageError::Config { path: path.to_owned(), reason };
    let text = match tokio::fs::read(path).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(error) => return Err(failed(error.to_string())),
    };
    let config: ConfigFile = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    let keys = keys(host);
    for key in &keys {
        if let Some(helper) = config.cred_helpers.get(key) {
            return ask_helper(helper, key).await.map(|found| found.unwrap_or(RegistryAuth::Anonymous));
        }
    }
    if let Some(helper) = config.creds_store.as_deref().filter(|helper| !helper.is_empty()) {
        for key in keys.iter().filter(|key| config.auths.is_empty() || config.auths.contains_key(*key)) {
            if let Some(found) = ask_helper(helper, key).await? {
                return Ok(found);
            }
        }
    }
    let entry = keys.iter().find_map(|key| config.auths.get(key));
    entry.map_or(Ok(RegistryAuth::Anonymous), |entry| basic(entry).map_err(failed))
}

/// Returns the names under which a registry's credentials may be kept.
fn keys(host: &str) -> Vec<String> {
    if host == "docker.io" {
        let keys = ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"];
        return keys.map(str::to_owned).to_vec();
    }
    let urls = ["https://{}", "https://{}/", "https://{}/v1/", "https://{}/v2/", "http://{}"];
    std::iter::once(host.to_owned()).chain(urls.iter().map(|url| url.replace("{}", host))).collect()
}

fn basic(entry: &Entry) -> Result<RegistryAuth, String> {
    if let (Some(user), Some(password)) = (&entry.username, &entry.password) {
        return Ok(RegistryAuth::Basic(user.clone(), password.clone()));
    }
    let Some(auth) = entry.auth.as_deref().filter(|auth| !auth.is_empty()) else { return Ok(RegistryAuth::Anonymous) };
    let decoded = base64::engine::general_purpose::STANDARD.decode(auth).map_err(|error| error.to_string())?;
    let decoded = String::from_utf8(decoded).map_err(|_| "an auth is not UTF-8".to_owned())?;
    let (user, password) = decoded.split_once(':').ok_or("an auth is not USER:PASSWORD")?;
    Ok(RegistryAuth::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// Asks `docker-credential-NAME` (docker-credential-helpers): the registry on its standard
/// input, JSON on its output.
async fn ask_helper(helper: &str, key: &str) -> Result<Option<RegistryAuth>, ImageError> {
    let program = format!("docker-credential-{helper}");
    let failed = |reason: String| ImageError::invalid(format!("the credential helper {program}"), reason);
    if helper.contains('/') {
        return Err(failed("its name has a slash".to_owned()));
    }
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that needs no input may be gone already.
        _ = input.write_all(key.as_bytes()).await;
    }
    let output = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output())
        .await
        .map_err(|_| failed(format!("no answer within {} s", HELPER_TIMEOUT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
        return if said.contains("not found") { Ok(None) } else { Err(failed(said)) };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    if answer.username == "<token>" {
        return Err(failed("it gives an identity token, which is not supported; log in with a password".to_owned()));
    }
    Ok(Some(RegistryAuth::Basic(answer.username, answer.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credentials_are_found_as_docker_login_leaves_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnc="},"r:5000":{"username":"a","password":"b"},
            "https://s/":{}}}"#;
        std::fs::write(&path, hub).unwrap();
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.to_owned(), password.to_owned());
        assert_eq!(find(Some(&path), "docker.io").await.unwrap(), basic("u", "p:w"));
        assert_eq!(find(Some(&path), "r:5000").await.unwrap(), basic("a", "b"));
        assert_eq!(find(Some(&path), "s").await.unwrap(), RegistryAuth::Anonymous);
        assert_eq!(find(Some(&path), "t").await.unwrap(), RegistryAuth::Anonymous);
        assert_eq!(find(Some(&dir.path().join("none")), "t").await.unwrap(), RegistryAuth::Anonymous);
        std::fs::write(&path, r#"{"credHelpers":{"t":"surely-absent-here"}}"#).unwrap();
        let error = find(Some(&path), "t").await.unwrap_err().to_string();
        assert!(error.starts_with("the credential helper docker-credential-surely-absent-here"), "{error}");
    }
}
