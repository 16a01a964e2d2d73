//! Rejects functions that are too long to read on one screen.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use crate::source::{Source, product};

/// Lines from `fn` to the closing brace, with comments and blank lines. A longer function does not fit on a
/// screen.
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn functions_are_short_enough_to_be_read_at_once() {
    let violations: Vec<_> = product().iter().flat_map(long_functions).collect();
    crate::assert_none("a function is too long", &violations);
}

fn long_functions(source: &Source) -> Vec<String> {
    let mut functions = Functions::default();
    functions.visit_file(&source.tree);
    let long = functions.found.into_iter();
    let long = long.filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX);
    long.map(|(name, line, lines)| format!("{}:{line}: {name}: {lines} lines", source.path))
        .collect()
}

/// Name, first line and number of lines of each function.
#[derive(Default)]
struct Functions {
    found: Vec<(String, usize, usize)>,
}

impl Functions {
    fn add(&mut self, signature: &Signature, body: &Block) {
        let line = |span: Span| span.start().line;
        let first = line(signature.fn_token.span);
        let last = line(body.brace_token.span.close());
        let name = signature.ident.to_string();
        self.found.push((name, first, last - first + 1));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn a_function_is_measured_with_what_is_inside() {
    let body = "let x = || 1;\n".repeat(FUNCTION_LINES_MAX - 1);
    let code = format!(
        "fn first() {{\n{body}}}
impl X {{
    /// Neither the doc nor an attribute counts.
    fn second() {{
        fn inside() {{
{body}        }}
    }}
}}
#[cfg(test)]
fn third() {{\n\n{body}}}
"
    );
    let seen = long_functions(&Source::parse("src/x.rs", &code));
    let lines = [
        "src/x.rs:1: first: 71 lines",
        "src/x.rs:74: second: 73 lines",
        "src/x.rs:75: inside: 71 lines",
    ];
    assert_eq!(seen, lines);
}
