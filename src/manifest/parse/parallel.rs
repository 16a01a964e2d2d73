//! Decodes the files of a large set on several threads, with the same result as on one thread.

use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use super::decode::decode;
use super::document::Document;
use crate::manifest::diagnostic::Sink;
use crate::manifest::source_text::SourceText;

/// The minimum number of bytes for a thread: starting one costs as much as decoding some kilobytes.
const BYTES_MIN: usize = 256 << 10;
/// More threads find no free cores on machines that do other work, too.
const THREADS_MAX: usize = 8;

/// The result of decoding a run of consecutive files.
struct Part<'a> {
    documents: Vec<Document>,
    count: usize,
    sink: Sink<'a>,
}

/// Decodes all files. Returns the documents in the order of the files, and how many there are, including those with
/// errors.
pub(super) fn decode_all<'a>(
    sources: &'a [SourceText],
    sink: &mut Sink<'a>,
) -> (Vec<Document>, usize) {
    let bytes: usize = sources.iter().map(|source| source.text().len()).sum();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (bytes / BYTES_MIN).clamp(1, cores.min(THREADS_MAX));
    decode_on(threads, bytes, sources, sink)
}

fn decode_on<'a>(
    threads: usize,
    bytes: usize,
    sources: &'a [SourceText],
    sink: &mut Sink<'a>,
) -> (Vec<Document>, usize) {
    let mut runs = runs(sources, bytes.div_ceil(threads), threads);
    let last = runs.pop().unwrap_or_default();
    let parts: Vec<_> = thread::scope(|scope| {
        let start = |run: Range<usize>| {
            let here = run.clone();
            let thread = thread::Builder::new().spawn_scoped(scope, move || part(sources, run));
            // If no more threads are allowed, this thread does the work.
            thread.map_err(|_| Box::new(part(sources, here)))
        };
        let others: Vec<_> = runs.into_iter().map(start).collect();
        let last = part(sources, last);
        let done = others.into_iter().map(|other| match other {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(part) => *part,
        });
        done.chain([last]).collect()
    });
    let (mut documents, mut count) = (Vec::new(), 0);
    for part in parts {
        documents.extend(part.documents);
        count += part.count;
        sink.join(part.sink);
    }
    (documents, count)
}

/// At most `most` runs of consecutive files. Each run except the last ends with the file that reaches `bytes_each`.
fn runs(sources: &[SourceText], bytes_each: usize, most: usize) -> Vec<Range<usize>> {
    let (mut runs, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (index, source) in sources.iter().enumerate() {
        bytes += source.text().len();
        if bytes >= bytes_each.max(1) && runs.len() + 1 < most {
            runs.push(begin..index + 1);
            (begin, bytes) = (index + 1, 0);
        }
    }
    runs.push(begin..sources.len());
    runs
}

fn part(sources: &[SourceText], run: Range<usize>) -> Part<'_> {
    let mut part = Part {
        documents: Vec::new(),
        count: 0,
        sink: Sink::new(sources, Vec::new()),
    };
    for index in run {
        let file = u32::try_from(index).unwrap_or(u32::MAX);
        part.count += decode(file, &sources[index], &mut part.sink, &mut part.documents);
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: a}\nspec:\n";

    /// The decoded documents and reported errors with this number of threads.
    fn on(threads: usize, sources: &[SourceText]) -> (String, usize, Vec<String>) {
        let bytes = sources.iter().map(|source| source.text().len()).sum();
        let mut sink = Sink::new(sources, Vec::new());
        let (documents, count) = decode_on(threads, bytes, sources, &mut sink);
        let said = match sink.finish(count, 0) {
            Ok(warnings) => warnings.iter().map(ToString::to_string).collect(),
            Err(errors) => vec![errors.render(false), format!("{:?}", errors.faulty())],
        };
        (format!("{documents:?}"), count, said)
    }

    fn source(index: usize, text: String) -> SourceText {
        SourceText::new(format!("{index:03}.yaml"), text)
    }

    fn images(index: usize) -> String {
        let line = |n| format!("  - {{id: img-{index}x{n}, state: shared}}\n");
        let images: String = (0..index % 5 + 1).map(line).collect();
        format!("{HEAD}  region: ap-tokyo\n  images:\n{images}")
    }

    #[test]
    fn any_number_of_threads_finds_the_same_in_the_same_order() {
        let good: Vec<_> = (0..40).map(|i| source(i, images(i))).collect();
        let protects = images(1).replace("state: shared", "state: unshared, protect: true");
        let odd = |i: usize| match i % 4 {
            0 => images(i),
            1 => protects.clone(),
            2 => images(i).replace("shared", "shard"),
            _ => "][".to_owned(),
        };
        // More errors than are listed.
        let bad: Vec<_> = (0..300).map(|i| source(i, odd(i))).collect();
        for sources in [&good[..], &bad, &good[..1], &[]] {
            let alone = on(1, sources);
            for threads in [2, 3, 7, 50, 1_000] {
                assert_eq!(on(threads, sources), alone, "{threads}");
            }
        }
    }

    #[test]
    fn every_file_is_in_one_run_and_there_are_no_more_runs_than_threads() {
        let of = |sizes: &[usize]| -> Vec<_> {
            let texts = sizes.iter().map(|size| "#".repeat(*size));
            texts.map(|text| source(0, text)).collect()
        };
        // A full disk empties all files at once.
        for sizes in [&[0; 1_000][..], &[100, 0, 0], &[0, 100], &[7; 50], &[]] {
            let sources = of(sizes);
            let bytes: usize = sizes.iter().sum();
            for threads in [1, 2, 8] {
                let runs = runs(&sources, bytes.div_ceil(threads), threads);
                assert!(runs.len() <= threads, "{runs:?}");
                let files: Vec<_> = runs.into_iter().flatten().collect();
                assert_eq!(files, (0..sizes.len()).collect::<Vec<_>>());
            }
        }
    }
}
