//! What a registry's failure means to the user.

use std::error::Error;
use std::time::Duration;

use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};

use super::super::ImageError;
use super::super::reference::Reference;

/// Tells whether the same request may succeed a moment later. That nobody answers at an
/// address is not of that kind: the user should hear of it at once.
pub(super) fn is_transient(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(error) => !error.is_connect() && !error.is_builder() && !error.is_redirect(),
        OciDistributionError::ServerError { code, .. } => matches!(code, 408 | 429 | 500..=599),
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| error.code == OciErrorCode::Toomanyrequests)
        }
        OciDistributionError::IoError(_) => true,
        _ => false,
    }
}

/// Returns the failure in our words.
pub(super) fn explain(
    error: &OciDistributionError,
    reference: &Reference,
    registry: &str,
    connect_timeout: Duration,
) -> ImageError {
    let (registry, reference) = (registry.to_owned(), reference.familiar());
    let not_found = |registry, reference| ImageError::NotFound { reference, registry };
    let unauthorized = |registry, reference, reason: String| ImageError::Unauthorized { reference, registry, reason };
    match error {
        OciDistributionError::RequestError(error) if error.is_connect() => {
            let reason = if error.is_timeout() {
                format!("no answer within {} s", connect_timeout.as_secs_f32())
            } else {
                innermost(error)
            };
            ImageError::Unreachable { registry, reason }
        }
        OciDistributionError::RequestError(error) => {
            let reason = if error.is_timeout() { "it stopped answering".to_owned() } else { innermost(error) };
            ImageError::Registry { reference, registry, reason }
        }
        OciDistributionError::UnauthorizedError { .. } => {
            unauthorized(registry, reference, "authentication required".to_owned())
        }
        OciDistributionError::AuthenticationFailure(body) => unauthorized(registry, reference, message(body)),
        OciDistributionError::ServerError { code: 404, .. } => not_found(registry, reference),
        OciDistributionError::ServerError { code: 401 | 403, message: body, .. } => {
            unauthorized(registry, reference, message(body))
        }
        OciDistributionError::ServerError { code, message: body, .. } => {
            ImageError::Registry { reference, registry, reason: format!("HTTP status {code}: {}", message(body)) }
        }
        OciDistributionError::RegistryError { envelope, .. } => {
            let codes = || envelope.errors.iter().map(|error| &error.code);
            let messages: Vec<&str> = envelope.errors.iter().map(|error| error.message.as_str()).collect();
            if codes().any(|code| {
                matches!(
                    code,
                    OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound
                        | OciErrorCode::BlobUnknown
                )
            }) {
                not_found(registry, reference)
            } else if codes().any(|code| matches!(code, OciErrorCode::Unauthorized | OciErrorCode::Denied)) {
                unauthorized(registry, reference, messages.join(", "))
            } else {
                ImageError::Registry { reference, registry, reason: messages.join(", ") }
            }
        }
        OciDistributionError::DigestError(DigestError::VerificationError { expected, actual }) => {
            match (expected.parse(), actual.parse()) {
                (Ok(expected), Ok(actual)) => {
                    ImageError::Digest { what: format!("the manifest of {reference}"), expected, actual }
                }
                _ => ImageError::Registry { reference, registry, reason: error.to_string() },
            }
        }
        other => ImageError::Registry { reference, registry, reason: innermost(other) },
    }
}

/// The innermost cause is the one that says something: `Connection refused (os error 111)`.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Returns the message in a body, which is JSON in most cases, in one line of bounded length.
fn message(body: &str) -> String {
    let json = serde_json::from_str::<serde_json::Value>(body).unwrap_or_default();
    let text = [&json["errors"][0]["message"], &json["details"], &json["message"]];
    let text = text.into_iter().find_map(|value| value.as_str()).unwrap_or(body);
    match text.lines().next().unwrap_or("").trim() {
        "" => "no reason given".to_owned(),
        line => line.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}
