//! The files of a large set side by side, as if one after the other.

use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use super::decode::{Document, decode};
use super::diagnostic::Sink;
use super::source::SourceText;

/// A thread has at least so much to read: to start one costs as much as to read some kilobytes.
const BYTES_MIN: usize = 256 << 10;
/// More threads find no more cores on machines that do other things, too.
const THREADS_MAX: usize = 8;

/// What a run of files holds.
struct Part<'a> {
    documents: Vec<Document>,
    count: usize,
    sink: Sink<'a>,
}

/// Decodes all files. The documents are in the order of the files; with them, how many there are, those that could not
/// be decoded too.
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
    let runs = runs(sources, bytes.div_ceil(threads));
    let parts: Vec<_> = match &runs[..] {
        [run] => vec![part(sources, run.clone())],
        runs => thread::scope(|scope| {
            let start = |run: &Range<usize>| {
                let run = run.clone();
                scope.spawn(move || part(sources, run))
            };
            let threads: Vec<_> = runs.iter().map(start).collect();
            let done = threads.into_iter().map(|thread| thread.join());
            done.map(|part| part.unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        }),
    };
    let (mut documents, mut count) = (Vec::new(), 0);
    for part in parts {
        documents.extend(part.documents);
        count += part.count;
        sink.join(part.sink);
    }
    (documents, count)
}

/// Runs of files that follow each other, each of which ends with the file that fills it.
fn runs(sources: &[SourceText], bytes_each: usize) -> Vec<Range<usize>> {
    let (mut runs, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (index, source) in sources.iter().enumerate() {
        bytes += source.text().len();
        if bytes >= bytes_each {
            runs.push(begin..index + 1);
            (begin, bytes) = (index + 1, 0);
        }
    }
    if begin < sources.len() {
        runs.push(begin..sources.len());
    }
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

    /// What is found, and what is said, on so many threads.
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
}
