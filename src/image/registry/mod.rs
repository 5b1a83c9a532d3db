//! Images from registries (OCI distribution spec), through `oci-client`.

mod artifact;
mod auth;
mod conf;
mod failure;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};

pub use self::artifact::{Artifact, ArtifactLayer, artifact};
use self::conf::Endpoint;
use self::failure::{explain, is_transient};
use super::images::{Inner, parse_source};
use super::install::{Fetch, Plan, blocking};
use super::layout::{
    DOCKER_LIST, DOCKER_MANIFEST, DOCUMENT_LIMIT, Descriptor, Manifest, OCI_INDEX, OCI_MANIFEST, check_digest,
};
use super::reference::{Reference, Source};
use super::{Image, ImageError, ImageStore, PullPhase, PullProgress};
use crate::ids::Digest;

/// How registries are reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Docker's `config.json`, where credentials are.
    pub docker_config: Option<PathBuf>,
    /// `registries.conf` and what is in `registries.conf.d`, in the order of reading.
    pub registries: Vec<PathBuf>,
    /// Time for a registry to accept a connection.
    pub connect_timeout: Duration,
    /// Time for a registry to go on once it has begun.
    pub read_timeout: Duration,
}

impl Settings {
    /// Returns the settings of this machine: `DOCKER_CONFIG` or `~/.docker`, and
    /// `CONTAINERS_REGISTRIES_CONF` or `/etc/containers`.
    pub fn from_env() -> Self {
        let path = |key: &str| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
        let docker = path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker")));
        let registries = match path("CONTAINERS_REGISTRIES_CONF") {
            Some(file) => vec![file],
            None => conf::system_files(std::path::Path::new("/etc/containers")),
        };
        Self { docker_config: docker.map(|dir| dir.join("config.json")), registries, ..Self::none() }
    }

    /// Returns settings that read no file.
    pub fn none() -> Self {
        Self {
            docker_config: None,
            registries: Vec::new(),
            connect_timeout: Duration::from_secs(4),
            read_timeout: Duration::from_secs(30),
        }
    }
}

/// Times that one request is made before its failure counts.
const ATTEMPTS: u32 = 3;

/// Times that a download goes on where it broke off.
const RESUMES: u32 = 5;

impl ImageStore {
    /// Fetches an image, or what is missing of it, and names it; always asks the registry what
    /// the name stands for.
    ///
    /// Mirrors of `registries.conf` are asked first. `progress` is called often, from any
    /// thread.
    pub async fn pull(
        &self,
        reference: &str,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> Result<Image, ImageError> {
        let reference = match parse_source(reference)? {
            Source::File(file) => return self.pull_file(&file, progress).await,
            Source::Registry(reference) => reference,
        };
        let name = reference.to_string();
        let lock = self.inner().pull_lock(&name);
        let _held = lock.lock().await;
        progress(PullProgress { layer: String::new(), downloaded: 0, total: None, phase: PullPhase::Resolving });
        let mut asked = Asked::new(&self.inner().settings, &reference)?;
        while let Some(endpoint) = asked.next() {
            match pull_from(self.inner(), &reference, &endpoint, progress).await {
                Ok(image) => return Ok(image),
                Err(error) => asked.failed(&endpoint, error),
            }
        }
        Err(asked.error(&reference))
    }

    /// Returns a reference with the digest that its registry has for it now: of the index where
    /// there is one. What has a digest already, or is a file, comes back as it is.
    pub async fn resolve(&self, text: &str) -> Result<String, ImageError> {
        let reference = match parse_source(text)? {
            Source::Registry(reference) if reference.digest.is_none() => reference,
            Source::Registry(reference) => return Ok(reference.to_string()),
            Source::File(_) => return Ok(text.to_owned()),
        };
        let mut asked = Asked::new(&self.inner().settings, &reference)?;
        while let Some(endpoint) = asked.next() {
            match digest_at(&self.inner().settings, &reference, &endpoint).await {
                Ok(digest) => return Ok(Reference { digest: Some(digest), ..reference }.to_string()),
                Err(error) => asked.failed(&endpoint, error),
            }
        }
        Err(asked.error(&reference))
    }
}

/// Where an image is looked for: mirrors first, then the registry itself.
struct Asked {
    endpoints: std::vec::IntoIter<Endpoint>,
    several: bool,
    last: Option<ImageError>,
}

impl Asked {
    fn new(settings: &Settings, reference: &Reference) -> Result<Self, ImageError> {
        let endpoints = conf::endpoints(&settings.registries, reference)?;
        Ok(Self { several: endpoints.len() > 1, endpoints: endpoints.into_iter(), last: None })
    }

    fn next(&mut self) -> Option<Endpoint> {
        self.endpoints.next()
    }

    fn failed(&mut self, endpoint: &Endpoint, error: ImageError) {
        if self.several {
            tracing::info!(registry = endpoint.host, error = chain(&error), "a registry is passed over");
        }
        self.last = Some(error);
    }

    /// Returns what the last one said: that is the registry which the user named.
    fn error(self, reference: &Reference) -> ImageError {
        self.last.unwrap_or_else(|| ImageError::Missing { reference: reference.familiar() })
    }
}

async fn digest_at(settings: &Settings, reference: &Reference, endpoint: &Endpoint) -> Result<Digest, ImageError> {
    let session = Session::open(settings, reference, endpoint).await?;
    session.manifest(&session.image).await.map(|(_, digest)| digest)
}

fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// A registry that answered.
struct Session {
    client: Client,
    auth: RegistryAuth,
    /// As the user named it, for messages.
    reference: Reference,
    /// As this registry knows it.
    image: oci_client::Reference,
    host: String,
    connect_timeout: Duration,
}

async fn pull_from(
    inner: &Arc<Inner>,
    reference: &Reference,
    endpoint: &Endpoint,
    progress: &(dyn Fn(PullProgress) + Send + Sync),
) -> Result<Image, ImageError> {
    let session = Arc::new(Session::open(&inner.settings, reference, endpoint).await?);
    let (bytes, digest) = session.manifest(&session.image).await?;
    let mut manifest = Manifest::parse(&bytes)?;
    let mut plan_bytes = bytes;
    let repo_digest = digest.clone();
    if manifest.manifests.is_some() {
        let chosen = manifest.choose(&reference.familiar())?.digest.clone();
        let (bytes, _) = session.manifest(&session.image.clone_with_digest(chosen.to_string())).await?;
        check_digest(&bytes, &chosen, || format!("the manifest of {}", reference.familiar()))?;
        manifest = Manifest::parse(&bytes)?;
        plan_bytes = bytes;
    }
    let (Some(config), Some(layers)) = (manifest.config, manifest.layers) else {
        return Err(ImageError::invalid(reference.familiar(), "the registry has something there that is no image"));
    };
    let config = match inner.layout.document(&config.digest) {
        Ok(config) => config,
        Err(_) => session.document(&config).await?,
    };
    check_platform(&config, reference)?;
    let media_type = manifest.media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned());
    let plan = Plan { manifest: (plan_bytes, media_type), config, layers: layers.clone() };
    let fetch = |at: usize| -> Fetch<'_> { session.clone().layer(layers[at].clone(), progress) };
    inner.install(plan, vec![reference.to_string()], Some(repo_digest), &fetch, progress).await
}

/// An image that is no index says in its configuration what it is for.
fn check_platform(config: &[u8], reference: &Reference) -> Result<(), ImageError> {
    use super::layout::Platform;
    let file = super::config::ConfigFile::parse(config)?;
    let (host, image) =
        (Platform::host(), Platform { architecture: file.architecture, os: file.os, variant: file.variant });
    if host.runs(&image) {
        return Ok(());
    }
    Err(ImageError::Platform {
        reference: reference.familiar(),
        wanted: host.to_string(),
        available: image.to_string(),
    })
}

impl Session {
    /// Connects: finds out how the registry is spoken to and gets leave to read.
    async fn open(settings: &Settings, reference: &Reference, endpoint: &Endpoint) -> Result<Self, ImageError> {
        let (host, repository) = (endpoint.host.clone(), endpoint.repository.clone());
        let image = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => oci_client::Reference::with_digest(host.clone(), repository, digest.to_string()),
            (None, tag) => {
                let tag = tag.clone().unwrap_or_else(|| "latest".to_owned());
                oci_client::Reference::with_tag(host.clone(), repository, tag)
            }
        };
        let auth = auth::find(settings.docker_config.as_deref(), &host).await?;
        let client = client(settings, endpoint, false).await?;
        let connect_timeout = settings.connect_timeout;
        let mut session = Self { client, auth, reference: reference.clone(), image, host, connect_timeout };
        // The first contact decides: nothing else is tried where nobody answers.
        let mut outcome = session.authorize().await;
        if endpoint.insecure && matches!(&outcome, Err(OciDistributionError::RequestError(e)) if !e.is_timeout()) {
            session.client = client_plain(settings, endpoint).await?;
            outcome = session.authorize().await;
        }
        outcome.map_err(|error| session.explain(&error))?;
        Ok(session)
    }

    async fn authorize(&self) -> Result<(), OciDistributionError> {
        self.retry(async || self.client.auth(&self.image, &self.auth, RegistryOperation::Pull).await.map(drop)).await
    }

    /// Makes a request again that failed for a reason that may pass.
    async fn retry<T>(
        &self,
        mut request: impl AsyncFnMut() -> Result<T, OciDistributionError>,
    ) -> Result<T, OciDistributionError> {
        for attempt in 1.. {
            match request().await {
                Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                    tracing::debug!(registry = self.host, %error, "asking again");
                    tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
                }
                other => return other,
            }
        }
        unreachable!("the loop returns")
    }

    fn explain(&self, error: &OciDistributionError) -> ImageError {
        explain(error, &self.reference, &self.host, self.connect_timeout)
    }

    /// Returns a manifest or index and its digest.
    async fn manifest(&self, image: &oci_client::Reference) -> Result<(Vec<u8>, Digest), ImageError> {
        const TYPES: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];
        let answer = self.retry(async || self.client.pull_manifest_raw(image, &self.auth, &TYPES).await).await;
        let (bytes, _) = answer.map_err(|error| self.explain(&error))?;
        let digest = Digest::of(&bytes);
        if let Some(wanted) = image.digest().and_then(|wanted| wanted.parse::<Digest>().ok()) {
            check_digest(&bytes, &wanted, || format!("the manifest of {}", self.reference.familiar()))?;
        }
        Ok((bytes.to_vec(), digest))
    }

    /// Returns a small blob.
    async fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let what = || format!("a document of {}", self.reference.familiar());
        if descriptor.size > DOCUMENT_LIMIT {
            return Err(ImageError::invalid(what(), format!("it has {} bytes", descriptor.size)));
        }
        let digest = descriptor.digest.as_str();
        let request = async || {
            let mut stream = self.client.pull_blob_stream_partial(&self.image, &digest, 0, None).await.map(open)?;
            let mut bytes = Vec::new();
            while let Some(chunk) = stream.try_next().await? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() as u64 > descriptor.size {
                    break;
                }
            }
            Ok(bytes)
        };
        let bytes = self.retry(request).await.map_err(|error| self.explain(&error))?;
        check_digest(&bytes, &descriptor.digest, what)?;
        Ok(bytes)
    }

    /// Returns a reader of a layer's bytes and the work that fills it.
    fn layer<'a>(
        self: Arc<Self>,
        descriptor: Descriptor,
        progress: &'a (dyn Fn(PullProgress) + Send + Sync),
    ) -> Fetch<'a> {
        let (sender, receiver) = tokio::sync::mpsc::channel(32);
        let reader = Chunks { receiver, chunk: None };
        let pump = async move {
            let (mut offset, mut resumes, mut last) = (0u64, 0, Instant::now());
            let digest = descriptor.digest.as_str();
            loop {
                let broken = match self.client.pull_blob_stream_partial(&self.image, &digest, offset, None).await {
                    Err(error) => error,
                    Ok(response) => {
                        // A registry that cannot go on in the middle sends all of it again.
                        let whole = matches!(response, oci_client::client::BlobResponse::Full(_));
                        let mut skip = if whole { offset } else { 0 };
                        let mut stream = open(response);
                        loop {
                            match stream.try_next().await {
                                Ok(Some(chunk)) => {
                                    let skipped = skip.min(chunk.len() as u64);
                                    skip -= skipped;
                                    let chunk = chunk.slice(usize::try_from(skipped).unwrap_or(chunk.len())..);
                                    offset += chunk.len() as u64;
                                    if offset > descriptor.size || sender.send(chunk).await.is_err() {
                                        // Too long, or the reader gave up: it says why.
                                        return Ok(());
                                    }
                                    if last.elapsed() > Duration::from_millis(100) {
                                        last = Instant::now();
                                        let layer = descriptor.digest.hex()[..12].to_owned();
                                        let total = Some(descriptor.size);
                                        let phase = PullPhase::Downloading;
                                        progress(PullProgress { layer, downloaded: offset, total, phase });
                                    }
                                }
                                // All of it, as far as the registry is concerned: the digest decides.
                                Ok(None) => return Ok(()),
                                Err(_) if offset >= descriptor.size => return Ok(()),
                                Err(error) => break OciDistributionError::IoError(error),
                            }
                        }
                    }
                };
                if resumes == RESUMES || !is_transient(&broken) {
                    return Err(self.explain(&broken));
                }
                resumes += 1;
                tracing::debug!(registry = self.host, layer = digest, offset, %broken, "going on with a download");
                tokio::time::sleep(Duration::from_millis(100 << resumes)).await;
            }
        };
        (Box::new(reader), Box::pin(pump))
    }
}

type Stream = oci_client::client::SizedStream;

fn open(response: oci_client::client::BlobResponse) -> Stream {
    match response {
        oci_client::client::BlobResponse::Full(stream) | oci_client::client::BlobResponse::Partial(stream) => stream,
    }
}

async fn client(settings: &Settings, endpoint: &Endpoint, plain: bool) -> Result<Client, ImageError> {
    let host = endpoint.host.clone();
    let resolved = if host == "docker.io" { "index.docker.io".to_owned() } else { host.clone() };
    let (insecure, settings) = (endpoint.insecure, settings.clone());
    blocking(move || {
        // A second one is refused, and the first is as good.
        _ = rustls::crypto::ring::default_provider().install_default();
        // Without any the client library would end the program.
        if rustls_native_certs::load_native_certs().certs.is_empty() {
            return Err(ImageError::Unreachable {
                registry: host,
                reason: "this machine has no CA certificates (install the package ca-certificates)".to_owned(),
            });
        }
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::HttpsExcept(vec![resolved]) } else { ClientProtocol::Https },
            accept_invalid_certificates: insecure,
            connect_timeout: Some(settings.connect_timeout),
            read_timeout: Some(settings.read_timeout),
            user_agent: concat!("stack/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        Client::try_from(config).map_err(|error| ImageError::Unreachable { registry: host, reason: error.to_string() })
    })
    .await
}

async fn client_plain(settings: &Settings, endpoint: &Endpoint) -> Result<Client, ImageError> {
    client(settings, endpoint, true).await
}

/// Reads what comes through a channel, on a thread that may block.
struct Chunks<B> {
    receiver: tokio::sync::mpsc::Receiver<B>,
    chunk: Option<(B, usize)>,
}

impl<B: AsRef<[u8]>> Read for Chunks<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((chunk, at)) = &mut self.chunk {
                let rest = &chunk.as_ref()[*at..];
                if !rest.is_empty() {
                    let length = rest.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&rest[..length]);
                    *at += length;
                    return Ok(length);
                }
            }
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = Some((chunk, 0)),
                None => return Ok(0),
            }
        }
    }
}
