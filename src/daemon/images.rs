//! Requests about images.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::Daemon;
use super::http::Sink;
use super::operations::{failed, failure};
use super::state::Input;
use crate::api::{ApiError, ImageSummary, ImportRequest, LoadRequest, ResolveRequest};
use crate::event::{Event, Failure};
use crate::host::HostError;
use crate::image::{Image, ImageError};

impl Daemon {
    /// Returns all images.
    pub(super) fn images(&self) -> Vec<ImageSummary> {
        let summary = |image: Image| ImageSummary {
            id: image.id.to_string(),
            references: image.references.clone(),
            digest: image.manifest.to_string(),
            size: image.size,
            created: image.created,
        };
        self.parts.images.list().into_iter().map(summary).collect()
    }

    /// Returns Docker's image inspect object.
    pub(super) fn inspect_image(&self, reference: &str) -> Result<serde_json::Value, ApiError> {
        self.parts.images.inspect_json(reference).map_err(api_error)
    }

    /// Removes a reference, and the image when it was the last; returns what was done, a line each.
    pub(super) async fn remove_image(&self, reference: &str) -> Result<Vec<String>, ApiError> {
        let observed = self.ask(Input::Observe).await;
        let in_use = |image: &Image| {
            let user = observed.containers.iter().find(|c| c.spec.image.id == image.id);
            user.map(|container| container.spec.name.clone())
        };
        let removed = self.parts.images.remove(reference, false, &in_use).map_err(api_error)?;
        let untagged = removed.untagged.iter().map(|name| format!("Untagged: {name}"));
        Ok(untagged.chain(removed.deleted.iter().map(|id| format!("Deleted: {id}"))).collect())
    }

    /// Asks registries for the digests of references; a note for each.
    pub(super) async fn resolve(self: Arc<Self>, request: ResolveRequest, sink: Sink) -> Vec<Failure> {
        let wanted: BTreeSet<String> = request.references.into_iter().collect();
        let (images, runtime) = (self.parts.images.clone(), Handle::current());
        // As pulls do: what talks to registries stays on one thread.
        let work = move || {
            let images = &images;
            let questions = wanted.into_iter().map(|reference| async move {
                let answer = images.resolve(&reference).await;
                (answer, reference)
            });
            runtime.block_on(join_all(questions))
        };
        let answers = match tokio::task::spawn_blocking(work).await {
            Ok(answers) => answers,
            Err(died) => return vec![failed("resolve images", HostError::new(died))],
        };
        let mut failures = Vec::new();
        for (answer, reference) in answers {
            match answer {
                Ok(exact) => {
                    let _ = sink.send(Event::Note { message: format!("{reference} {exact}") });
                }
                Err(error) => failures.push(image_failure(&format!("resolve {reference}"), error)),
            }
        }
        failures
    }

    /// Takes in the images of an archive that `docker save` or an OCI tool wrote.
    pub(super) async fn load(self: Arc<Self>, request: LoadRequest, sink: Sink) -> Vec<Failure> {
        let doing = format!("load {}", request.path.display());
        match self.parts.images.load(&request.path).await {
            Ok(images) => {
                for image in images {
                    let name = image.references.first().cloned().unwrap_or_else(|| image.id.to_string());
                    let _ = sink.send(Event::Note { message: format!("Loaded image: {name}") });
                }
                Vec::new()
            }
            Err(error) => vec![image_failure(&doing, error)],
        }
    }

    /// Makes an image of a root file system.
    pub(super) async fn import(self: Arc<Self>, request: ImportRequest, sink: Sink) -> Vec<Failure> {
        let doing = format!("import {} as {}", request.path.display(), request.reference);
        match self.parts.images.import(&request.path, &request.reference, &request.changes).await {
            Ok(image) => {
                let _ = sink.send(Event::Note { message: image.id.to_string() });
                Vec::new()
            }
            Err(error) => vec![image_failure(&doing, error)],
        }
    }
}

fn image_failure(doing: &str, error: ImageError) -> Failure {
    let hint = error.hint();
    Failure { hint, ..failed(doing, HostError::new(error)) }
}

fn api_error(error: ImageError) -> ApiError {
    let hint = error.hint();
    let Failure { why, .. } = failed("", HostError::new(error));
    ApiError { message: failure("", why).why, hint }
}
