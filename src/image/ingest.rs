//! A layer's bytes, in one pass: hashed, kept as a blob, decompressed, hashed again, unpacked.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::ImageError;
use super::unpack::{self, Limits, UnpackError, Unpacked};
use crate::ids::Digest;
use crate::store;

/// What a layer must turn out to be; `None` for what is not known before.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    /// Digest of the blob.
    pub(super) digest: Option<Digest>,
    /// Bytes of the blob.
    pub(super) size: Option<u64>,
    /// Digest of the tar stream in it.
    pub(super) diff_id: Option<Digest>,
}

/// A layer that was checked; its folder waits to be put in its place.
#[derive(Debug)]
pub(super) struct Ingested {
    pub(super) digest: Digest,
    pub(super) blob_size: u64,
    pub(super) diff_id: Digest,
    pub(super) compression: Compression,
    pub(super) unpacked: Unpacked,
    pub(super) folder: Temporary,
}

/// How a blob is compressed, told by its first bytes and not by what anyone says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Returns the media type of a layer (OCI image spec, media-types.md).
    pub(super) fn layer_media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    fn of(magic: &[u8]) -> io::Result<Self> {
        match magic {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            // The second is a skippable frame, with which seekable archives begin.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', _] => Err(io::Error::other("bzip2 is not supported: use gzip, zstd or no compression")),
            [0xfd, b'7', b'z', b'X'] => Err(io::Error::other("xz is not supported: use gzip, zstd or no compression")),
            _ => Ok(Self::None),
        }
    }
}

/// A file or folder that goes away again unless it is put in its place.
#[derive(Debug)]
pub(super) struct Temporary(Option<PathBuf>);

impl Temporary {
    /// Makes a folder beside `place`.
    pub(super) fn folder(place: &Path) -> Result<Self, ImageError> {
        let path = store::temporary(place);
        std::fs::create_dir(&path).map_err(ImageError::io("make the folder", &path))?;
        Ok(Self(Some(path)))
    }

    /// Makes a file beside `place`.
    pub(super) fn file(place: &Path) -> Result<(Self, File), ImageError> {
        let path = store::temporary(place);
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(ImageError::io("create", &path))?;
        Ok((Self(Some(path)), file))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Renames it to its place; where there is one already, that one stays.
    pub(super) fn place(mut self, place: &Path) -> Result<(), ImageError> {
        use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty};
        match std::fs::rename(self.path(), place) {
            Ok(()) => self.0 = None,
            Err(error) if matches!(error.kind(), AlreadyExists | DirectoryNotEmpty) => {}
            Err(error) => return Err(ImageError::io("rename to", place)(error)),
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Some(path) = self.0.take() else { return };
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        if let Err(error) = removed {
            tracing::debug!(path = %path.display(), %error, "a temporary file stays");
        }
    }
}

/// Returns a reader of what `source` holds, decompressed, and how it was compressed.
pub(super) fn decompressed<'a>(mut source: impl Read + 'a) -> io::Result<(Compression, Box<dyn Read + 'a>)> {
    let mut magic = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut magic)?;
    let compression = Compression::of(&magic)?;
    let whole = BufReader::with_capacity(256 << 10, io::Cursor::new(magic).chain(source));
    let reader: Box<dyn Read> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            // Memory that a hostile frame may ask for: 128 MiB, what the zstd tool allows.
            decoder.window_log_max(27)?;
            Box::new(decoder)
        }
    };
    Ok((compression, reader))
}

/// Reads a layer to its end: keeps its bytes as `blob` (unless it is there already, `None`),
/// unpacks it beside `place`, and checks everything that is expected of it.
pub(super) fn ingest(
    source: impl Read,
    blob: Option<&dyn Fn(&Digest) -> PathBuf>,
    place: &Path,
    expected: &Expected,
) -> Result<Ingested, ImageError> {
    let limits = Limits::for_dir(place.parent().unwrap_or(place));
    let name = expected.digest.as_ref().or(expected.diff_id.as_ref()).map_or("of the archive", |d| &d.hex()[..12]);
    let folder = Temporary::folder(place)?;
    set_mode(folder.path(), 0o755)?;
    let (aside, file) = match blob {
        Some(blob) => {
            let unnamed = blob(&Digest::of(b""));
            let (aside, file) = Temporary::file(&unnamed)?;
            (Some(aside), Some(file))
        }
        None => (None, None),
    };
    let raw = Rc::new(RefCell::new(Raw {
        source,
        hasher: Sha256::new(),
        file,
        size: 0,
        limit: expected.size.unwrap_or(u64::MAX),
    }));
    let mut diff = Sha256::new();
    let unpacked = unpack_decompressed(Shared(raw.clone()), &mut diff, folder.path(), &limits);
    // Also after a failure: bytes that are not the expected ones explain it better.
    let drained = io::copy(&mut Shared(raw.clone()), &mut io::sink());
    let raw = Rc::try_unwrap(raw).map_err(|_| ImageError::invalid("the layer", "it is still being read"))?.into_inner();
    let digest = Digest::from_bytes(raw.hasher.finalize().into());
    let layer = |source| ImageError::Layer { layer: name.to_owned(), source };
    if let Some(wanted) = expected.digest.as_ref().filter(|wanted| **wanted != digest) {
        drained.map_err(|error| layer(UnpackError::Tar(error)))?;
        let what = format!("layer {name}");
        return Err(ImageError::Digest { what, expected: wanted.clone(), actual: digest });
    }
    let (compression, unpacked) = unpacked.map_err(layer)?;
    drained.map_err(|error| layer(UnpackError::Tar(error)))?;
    let diff_id = Digest::from_bytes(diff.finalize().into());
    if let Some(wanted) = expected.diff_id.as_ref().filter(|wanted| **wanted != diff_id) {
        let what = format!("the content of layer {name}");
        return Err(ImageError::Digest { what, expected: wanted.clone(), actual: diff_id });
    }
    if let (Some(blob), Some(aside)) = (blob, aside) {
        aside.place(&blob(&digest))?;
    }
    Ok(Ingested { digest, blob_size: raw.size, diff_id, compression, unpacked, folder })
}

fn unpack_decompressed(
    source: impl Read,
    diff: &mut Sha256,
    dest: &Path,
    limits: &Limits,
) -> Result<(Compression, Unpacked), UnpackError> {
    let (compression, reader) = decompressed(source).map_err(UnpackError::Tar)?;
    let mut hashed = Hashed { reader, hasher: diff };
    let unpacked = unpack::unpack(&mut hashed, dest, limits)?;
    // Padding after the last entry belongs to the digest.
    let rest = io::copy(&mut hashed.by_ref().take(limits.bytes), &mut io::sink()).map_err(UnpackError::Tar)?;
    if rest == limits.bytes {
        return Err(UnpackError::TooBig(limits.bytes));
    }
    Ok((compression, unpacked))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), ImageError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(ImageError::io("set the mode of", path))
}

/// The compressed stream: hashed and kept as it is read.
struct Raw<R> {
    source: R,
    hasher: Sha256,
    file: Option<File>,
    size: u64,
    limit: u64,
}

struct Shared<R>(Rc<RefCell<Raw<R>>>);

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let raw = &mut *self.0.borrow_mut();
        if raw.size > raw.limit {
            return Ok(0);
        }
        let read = raw.source.read(buffer)?;
        raw.hasher.update(&buffer[..read]);
        // More than the manifest says: the digest cannot be the right one either.
        raw.size += read as u64;
        if let Some(file) = &mut raw.file {
            file.write_all(&buffer[..read])?;
        }
        Ok(read)
    }
}

struct Hashed<'a, R> {
    reader: R,
    hasher: &'a mut Sha256,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
