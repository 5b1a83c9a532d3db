//! Images for a plan: those that are here, and those that are fetched first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Daemon;
use super::http::Sink;
use super::operations::{failed, failure, progress};
use super::timings::micros;
use crate::compose::model::{Project, PullPolicy};
use crate::event::{Failure, Resource, Status};
use crate::host::HostError;
use crate::ids::{Digest, ServiceName};
use crate::image::{Image, ImageError, PullPhase, PullProgress};
use crate::plan::ImageInfo;
use crate::spec::ImageConfig;

/// What a plan that fetches nothing is made with.
#[derive(Default)]
pub(super) struct AtHand {
    /// Images by reference; stand-ins for those that are not here.
    pub(super) images: BTreeMap<String, ImageInfo>,
    /// References that `up` would fetch.
    pub(super) pulls: Vec<String>,
}

/// When an image was fetched.
pub(super) struct Fetched {
    pub(super) reference: String,
    pub(super) begun: Instant,
    /// All its bytes were here; some were still being unpacked.
    pub(super) arrived: Instant,
    pub(super) ended: Instant,
}

/// An image, and when it was fetched; `None` where it was here.
type Provided = (ImageInfo, Option<Fetched>);

impl Daemon {
    /// Returns the images of the selected services, fetched where the policy says so, and when they were.
    pub(super) async fn provide_images(
        self: &Arc<Self>,
        project: &Project,
        selected: &BTreeSet<ServiceName>,
        policy: Option<PullPolicy>,
        sink: &Sink,
    ) -> Result<(BTreeMap<String, ImageInfo>, Vec<Fetched>), Vec<Failure>> {
        let provided: JoinSet<_> = wanted(project, selected, policy)
            .into_iter()
            .map(|(reference, policy)| Arc::clone(self).provide_image(reference.to_owned(), policy, sink.clone()))
            .collect();
        let mut images = BTreeMap::new();
        let (mut fetched, mut failures) = (Vec::new(), Vec::new());
        for (reference, result) in provided.join_all().await {
            match result {
                Ok((info, lap)) => {
                    images.insert(reference, info);
                    fetched.extend(lap);
                }
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() { Ok((images, fetched)) } else { Err(failures) }
    }

    /// Returns an image by the name it was asked for, fetched where the policy says so.
    pub(super) async fn provide_image(
        self: Arc<Self>,
        reference: String,
        policy: PullPolicy,
        sink: Sink,
    ) -> (String, Result<Provided, Failure>) {
        let result = self.image_for(&reference, policy, &sink).await;
        (reference, result)
    }

    async fn image_for(&self, reference: &str, policy: PullPolicy, sink: &Sink) -> Result<Provided, Failure> {
        let doing = || format!("provide image {reference:?}");
        let refused = |error: HostError| {
            let failure = failed(&doing(), error);
            progress(sink, Resource::Image(reference.to_owned()), Status::Error, &failure.why);
            failure
        };
        let local = self.parts.images.get(reference).map_err(|error| refused(image_error(error)))?;
        Ok(match (local, policy) {
            // How old an image is, is not looked at yet.
            (Some(image), policy) if policy != PullPolicy::Always => (image.into(), None),
            (None, PullPolicy::Never) => {
                return Err(not_here(reference));
            }
            _ => {
                let resource = Resource::Image(reference.to_owned());
                progress(sink, resource.clone(), Status::Pulling, "");
                let (image, fetched) = self.fetch(reference, resource.clone(), sink).await.map_err(refused)?;
                progress(sink, resource, Status::Pulled, "");
                (image.into(), Some(fetched))
            }
        })
    }

    /// Returns the images of the selected services as far as they are here. For those that `up`
    /// would fetch, stand-ins: nobody knows what is in them.
    pub(super) fn images_at_hand(
        &self,
        project: &Project,
        selected: &BTreeSet<ServiceName>,
        policy: Option<PullPolicy>,
    ) -> Result<AtHand, Vec<Failure>> {
        let (mut found, mut failures) = (AtHand::default(), Vec::new());
        for (reference, policy) in wanted(project, selected, policy) {
            let image = match (self.parts.images.get(reference), policy) {
                (Ok(Some(image)), PullPolicy::Always) => {
                    found.pulls.push(reference.to_owned());
                    image.into()
                }
                (Ok(Some(image)), _) => ImageInfo::from(image),
                (Ok(None), PullPolicy::Never) => {
                    failures.push(not_here(reference));
                    continue;
                }
                (Ok(None), _) => {
                    found.pulls.push(reference.to_owned());
                    unknown(reference)
                }
                (Err(error), _) => {
                    failures.push(failed(&format!("look up image {reference:?}"), image_error(error)));
                    continue;
                }
            };
            found.images.insert(reference.to_owned(), image);
        }
        if failures.is_empty() { Ok(found) } else { Err(failures) }
    }

    /// Fetches an image, on a thread that unpacking may keep busy.
    async fn fetch(&self, reference: &str, resource: Resource, sink: &Sink) -> Result<(Image, Fetched), HostError> {
        let (images, name, sink) = (self.parts.images.clone(), reference.to_owned(), sink.clone());
        let begun = Instant::now();
        // When the last layer had come so far, microseconds; layers come side by side.
        let arrived_us = Arc::new(AtomicU64::new(0));
        let arrival = Arc::clone(&arrived_us);
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let client = sink.clone();
            let report = move |p: PullProgress| {
                if p.phase == PullPhase::Unpacking {
                    arrival.fetch_max(micros(begun.elapsed()), Ordering::Relaxed);
                }
                progress(&sink, resource.clone(), Status::Pulling, &pull_detail(&p));
            };
            runtime.block_on(async {
                tokio::select! {
                    // Cut off, it can be done again: what has arrived is kept or swept.
                    pulled = images.pull(&name, &report) => pulled.map(Some),
                    () = client.closed() => Ok(None),
                }
            })
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(Some(image))) => {
                let ended = Instant::now();
                let arrived = match arrived_us.load(Ordering::Relaxed) {
                    0 => ended,
                    us => begun + Duration::from_micros(us),
                };
                Ok((image, Fetched { reference: reference.to_owned(), begun, arrived, ended }))
            }
            Ok(Ok(None)) => Err(HostError::new("the client has gone")),
            Ok(Err(error)) => Err(image_error(error)),
            Err(died) => Err(HostError::new(died)),
        }
    }
}

impl From<Image> for ImageInfo {
    fn from(image: Image) -> Self {
        Self { id: image.id, layers: image.layers, config: image.config }
    }
}

/// Returns the references that the selected services name, and when each is fetched.
fn wanted<'a>(
    project: &'a Project,
    selected: &BTreeSet<ServiceName>,
    policy: Option<PullPolicy>,
) -> BTreeMap<&'a str, PullPolicy> {
    let mut wanted: BTreeMap<&str, PullPolicy> = BTreeMap::new();
    for (name, service) in &project.services {
        let (Some(image), true) = (&service.image, selected.contains(name)) else { continue };
        let policy = policy.unwrap_or(service.pull_policy);
        let entry = wanted.entry(image).or_insert(policy);
        if policy == PullPolicy::Always {
            *entry = policy;
        }
    }
    wanted
}

/// Returns what stands for an image that is not here: it has something to run, for the file may
/// leave that to the image.
fn unknown(reference: &str) -> ImageInfo {
    let config = ImageConfig { cmd: vec!["?".to_owned()], ..ImageConfig::default() };
    ImageInfo { id: Digest::of(format!("not here: {reference}").as_bytes()), layers: Vec::new(), config }
}

fn not_here(reference: &str) -> Failure {
    Failure {
        hint: Some(format!("stack image pull {reference}")),
        ..failure(&format!("provide image {reference:?}"), "it is not here and its pull_policy is never".to_owned())
    }
}

/// Returns an image's error with its advice.
fn image_error(error: ImageError) -> HostError {
    let hint = error.hint();
    let error = HostError::new(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Returns `a1b2c3 12.5MB/40MB`, what a layer's progress line ends with.
fn pull_detail(progress: &PullProgress) -> String {
    let megabytes = |bytes: u64| format!("{:.1}MB", bytes as f64 / 1e6);
    match (progress.phase, progress.total) {
        (PullPhase::Downloading, Some(total)) => {
            format!("{} {}/{}", progress.layer, megabytes(progress.downloaded), megabytes(total))
        }
        (PullPhase::Downloading, None) => format!("{} {}", progress.layer, megabytes(progress.downloaded)),
        (PullPhase::Unpacking, _) => format!("{} unpacking", progress.layer),
        (PullPhase::Resolving, _) => "resolving".to_owned(),
        (PullPhase::Exists | PullPhase::Done, _) => String::new(),
    }
}
