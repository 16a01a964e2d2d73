//! One rendered document: its bytes in pieces that all readers share, and how many bytes of its kind are in memory.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;

use super::border::Snapshot;
use super::encoding::Encoding;
use crate::web::{self, Query};

/// The most bytes of a document that a connection's buffer receives at once.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Documents are written in small pieces; the compressor gets larger ones.
const BUFFER_BYTES: usize = 32 * 1024;

/// The documents that are rendered from a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Page,
    Board,
    Metrics,
}

/// The bytes of all documents of one kind and encoding in memory, because they are cached or still being read.
#[derive(Clone, Default)]
pub(super) struct AliveBytes(Arc<AtomicUsize>);

/// A rendered document. Its bytes count until the last reader drops it.
pub(super) struct Rendered {
    frames: Vec<Bytes>,
    length: usize,
    alive: AliveBytes,
}

impl AliveBytes {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Rendered {
    /// Renders a document. This takes long if there are many images, so it runs beside the connections.
    pub(super) fn new(
        snapshot: &dyn Snapshot,
        (kind, encoding): (Kind, Encoding),
        query: &Query,
        alive: AliveBytes,
    ) -> Self {
        let write = |out: &mut dyn Write| {
            let (board, now) = (snapshot.board(), snapshot.taken_at());
            match kind {
                Kind::Page => out.write_all(web::page(board, query, now).as_bytes()),
                Kind::Board => web::write_board_document(out, board, query, now),
                Kind::Metrics => out.write_all(snapshot.metrics().as_bytes()),
            }
        };
        // Writing to memory cannot fail.
        let Frames { full, length, .. } = match encoding {
            Encoding::Identity => plain(write),
            Encoding::Gzip => compressed(write),
        }
        .unwrap_or_default();
        alive.0.fetch_add(length, Ordering::Relaxed);
        Self {
            frames: full,
            length,
            alive,
        }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The piece at this position, in order.
    pub(super) fn frame(&self, position: usize) -> Option<Bytes> {
        self.frames.get(position).cloned()
    }
}

impl Drop for Rendered {
    fn drop(&mut self) {
        self.alive.0.fetch_sub(self.length, Ordering::Relaxed);
    }
}

fn plain(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Frames> {
    let mut frames = Frames::default();
    write(&mut frames)?;
    Ok(frames.finished())
}

fn compressed(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Frames> {
    let encoder = GzEncoder::new(Frames::default(), Compression::fast());
    let mut buffer = BufWriter::with_capacity(BUFFER_BYTES, encoder);
    write(&mut buffer)?;
    let encoder = buffer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    Ok(encoder.finish()?.finished())
}

/// Written bytes in pieces of [`FRAME_BYTES_MAX`].
#[derive(Default)]
struct Frames {
    full: Vec<Bytes>,
    last: Vec<u8>,
    length: usize,
}

impl Frames {
    fn finished(mut self) -> Self {
        self.last.shrink_to_fit();
        self.push_last();
        self
    }

    fn push_last(&mut self) {
        if !self.last.is_empty() {
            self.full.push(std::mem::take(&mut self.last).into());
        }
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.capacity() == 0 {
            self.last.reserve_exact(FRAME_BYTES_MAX);
        }
        let room = FRAME_BYTES_MAX - self.last.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.last.extend_from_slice(taken);
        self.length += taken.len();
        if self.last.len() == FRAME_BYTES_MAX {
            self.push_last();
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    use flate2::read::GzDecoder;

    fn joined(frames: &Frames) -> Vec<u8> {
        frames.full.concat()
    }

    #[test]
    fn b4_document_pieces_fit_a_connections_buffer() {
        let text: Vec<u8> = (0..200_001u32).map(|n| (n % 251) as u8).collect();
        for sizes in [1, 7, 64 * 1024, 100_000] {
            let write = |out: &mut dyn Write| {
                let mut pieces = text.chunks(sizes);
                pieces.try_for_each(|piece| out.write_all(piece))
            };
            let frames = plain(write).expect("memory");
            assert_eq!(joined(&frames), text);
            assert_eq!(frames.length, text.len());
            let lengths: Vec<_> = frames.full.iter().map(Bytes::len).collect();
            assert_eq!(lengths, [65_536, 65_536, 65_536, 3_393], "{sizes}");
            let frames = compressed(write).expect("memory");
            let packed = joined(&frames);
            assert_eq!(frames.length, packed.len());
            assert!(packed.len() < text.len() / 10, "{}", packed.len());
            let mut unpacked = Vec::new();
            let mut decoder = GzDecoder::new(&*packed);
            decoder.read_to_end(&mut unpacked).expect("gzip");
            assert_eq!(unpacked, text);
        }
        assert_eq!(plain(|_| Ok(())).expect("memory").full.len(), 0);
    }
}
