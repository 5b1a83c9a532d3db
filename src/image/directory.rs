//! A folder as a tar stream, with everything a layer keeps: owners, modes, times, links,
//! extended attributes.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tar::{EntryType, Header};

/// Returns a stream that a thread of its own writes; reading fails where the folder cannot be
/// read.
pub(super) fn stream(dir: PathBuf) -> io::Result<impl Read + Send> {
    let (reader, writer) = io::pipe()?;
    let (sender, outcome) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("tar".to_owned()).spawn(move || {
        _ = sender.send(write(&dir, io::BufWriter::with_capacity(256 << 10, writer)));
    })?;
    Ok(Stream { reader, outcome: Some(outcome) })
}

struct Stream {
    reader: io::PipeReader,
    outcome: Option<mpsc::Receiver<io::Result<()>>>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer)? {
            0 => match self.outcome.take().map(|outcome| outcome.recv()) {
                Some(Ok(Err(error))) => Err(error),
                _ => Ok(0),
            },
            read => Ok(read),
        }
    }
}

fn write(dir: &Path, output: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(output);
    let mut links = HashMap::new();
    entry(&mut archive, dir, Path::new("./"), &mut links)?;
    folder(&mut archive, dir, Path::new(""), &mut links)?;
    archive.into_inner()?.flush()
}

/// Names of files that have more than one, by device and inode.
type Links = HashMap<(u64, u64), PathBuf>;

fn folder(archive: &mut tar::Builder<impl Write>, dir: &Path, name: &Path, links: &mut Links) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    for child in names {
        let (path, name) = (dir.join(&child), name.join(&child));
        if entry(archive, &path, &name, links)? {
            folder(archive, &path, &name, links)?;
        }
    }
    Ok(())
}

/// Writes one entry; tells whether it is a folder.
fn entry(archive: &mut tar::Builder<impl Write>, path: &Path, name: &Path, links: &mut Links) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let mut header = header(&metadata);
    if !kind.is_dir() && metadata.nlink() > 1 {
        if let Some(first) = links.get(&(metadata.dev(), metadata.ino())) {
            header.set_entry_type(EntryType::Link);
            archive.append_link(&mut header, name, first)?;
            return Ok(false);
        }
        links.insert((metadata.dev(), metadata.ino()), name.to_owned());
    }
    if kind.is_socket() {
        return Ok(false);
    }
    extensions(archive, path, &metadata)?;
    if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        archive.append_link(&mut header, name, fs::read_link(path)?)?;
    } else if kind.is_file() {
        header.set_size(metadata.len());
        // A file that grows meanwhile is cut off, one that shrinks is filled up.
        let content = File::open(path)?.chain(io::repeat(0)).take(metadata.len());
        archive.append_data(&mut header, name, content)?;
    } else {
        header.set_entry_type(match () {
            () if kind.is_dir() => EntryType::Directory,
            () if kind.is_fifo() => EntryType::Fifo,
            () if kind.is_block_device() => EntryType::Block,
            () => EntryType::Char,
        });
        if kind.is_char_device() || kind.is_block_device() {
            header.set_device_major(rustix::fs::major(metadata.rdev()))?;
            header.set_device_minor(rustix::fs::minor(metadata.rdev()))?;
        }
        archive.append_data(&mut header, name, io::empty())?;
    }
    Ok(kind.is_dir())
}

fn header(metadata: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    header.set_mtime(metadata.mtime().max(0).unsigned_abs());
    header.set_size(0);
    header
}

/// Extended attributes and the fraction of the time, in a header of their own.
fn extensions(archive: &mut tar::Builder<impl Write>, path: &Path, metadata: &Metadata) -> io::Result<()> {
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    if metadata.mtime_nsec() != 0 {
        records.push(("mtime".to_owned(), format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec()).into_bytes()));
    }
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    for name in names[..length].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        if let Ok(length) = rustix::fs::lgetxattr(path, std::ffi::OsStr::from_bytes(name), &mut value[..]) {
            value.truncate(length);
            records.push((format!("SCHILY.xattr.{}", String::from_utf8_lossy(name)), value));
        }
    }
    if records.is_empty() {
        return Ok(());
    }
    archive.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))
}
