//! What the rules need to know about a Rust file.

use std::ops::RangeInclusive;
use std::str::FromStr;

use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::finding::Finding;
use super::tokens::{self, Attribute, PathUse, Token, Tokens};

/// A parsed file. Lines count from 1.
pub(super) struct RustFile {
    pub(super) path: String,
    /// Whether it holds nothing but tests, going by its path.
    pub(super) is_test: bool,
    pub(super) functions: Vec<Function>,
    /// All paths of more than one segment, and those of `use`, with their groups resolved.
    pub(super) paths: Vec<PathUse>,
    /// The modules that it declares.
    pub(super) modules: Vec<(String, usize)>,
    pub(super) attributes: Vec<Attribute>,
    tokens: Vec<Token>,
    lines: usize,
    test_lines: Vec<RangeInclusive<usize>>,
}

/// A function with a body.
pub(super) struct Function {
    pub(super) name: String,
    /// Of the word `fn`.
    pub(super) line: usize,
    /// From there to the last brace.
    pub(super) lines: usize,
    pub(super) place: Place,
    pub(super) is_test: bool,
}

/// Where a function is defined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In a module, or in another function.
    Free,
    /// In `impl Type`.
    Inherent,
    /// In `trait Trait` or `impl Trait for Type`.
    Trait,
}

impl RustFile {
    /// Parses a file, or tells where it cannot be parsed.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Finding> {
        let unreadable = |span: Span, error: &dyn std::fmt::Display| {
            Finding::new(path, span.start().line, format!("does not parse: {error}"))
        };
        let stream = TokenStream::from_str(text).map_err(|e| unreadable(e.span(), &e))?;
        let Tokens { tokens, attributes } = Tokens::read(stream.clone());
        let syntax: syn::File = syn::parse2(stream).map_err(|e| unreadable(e.span(), &e))?;
        let mut file = Self {
            path: path.to_owned(),
            is_test: is_test_path(path),
            functions: Vec::new(),
            paths: tokens::paths(&tokens),
            modules: Vec::new(),
            attributes,
            tokens,
            lines: text.lines().count(),
            test_lines: Vec::new(),
        };
        Reader { file: &mut file, place: Place::Free, in_test: false }.visit_file(&syntax);
        Ok(file)
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether a line belongs to a test.
    pub(super) fn is_test_line(&self, line: usize) -> bool {
        self.is_test || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// How many lines do not belong to a test.
    pub(super) fn lines_without_tests(&self) -> usize {
        (1..=self.lines).filter(|line| !self.is_test_line(*line)).count()
    }

    /// The lines on which a sequence of tokens begins.
    pub(super) fn find_tokens(&self, sequence: &[&str]) -> Vec<usize> {
        let windows = self.tokens.windows(sequence.len());
        let found = windows.filter(|tokens| tokens.iter().map(|t| &t.text).eq(sequence));
        found.map(|tokens| tokens[0].line).collect()
    }
}

/// Tests are in `tests.rs`, or below a directory `tests` of a crate. The crate `tests` itself has
/// code, too.
fn is_test_path(path: &str) -> bool {
    let inside = path.strip_prefix("tests/").unwrap_or(path);
    inside.split('/').any(|component| component == "tests" || component == "tests.rs")
}

/// Walks through the syntax of a file and notes what is in it.
struct Reader<'a> {
    file: &'a mut RustFile,
    place: Place,
    in_test: bool,
}

impl Reader<'_> {
    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        let end = body.brace_token.span.close().end().line;
        self.file.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: end - line + 1,
            place: self.place,
            is_test: self.in_test || self.file.is_test,
        });
    }

    fn inside(&mut self, place: Place, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.place, place);
        visit(self);
        self.place = outer;
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let mut with = |name: String, line| {
            let segments: Vec<_> = prefix.iter().cloned().chain([name]).collect();
            self.file.paths.push(PathUse { segments: segments.clone(), line });
            segments
        };
        match tree {
            syn::UseTree::Path(path) => {
                let segments = with(path.ident.to_string(), path.ident.span().start().line);
                self.use_tree(&path.tree, &segments);
            }
            syn::UseTree::Name(name) => {
                with(name.ident.to_string(), name.ident.span().start().line);
            }
            syn::UseTree::Rename(rename) => {
                with(rename.ident.to_string(), rename.ident.span().start().line);
            }
            syn::UseTree::Glob(_) => {}
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let outer = self.in_test;
        if attributes_of(item).iter().any(is_for_tests) {
            self.in_test = true;
            let span = item.span();
            self.file.test_lines.push(span.start().line..=span.end().line);
        }
        visit::visit_item(self, item);
        self.in_test = outer;
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let line = module.ident.span().start().line;
        self.file.modules.push((module.ident.to_string(), line));
        self.inside(Place::Free, |reader| visit::visit_item_mod(reader, module));
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[]);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.inside(Place::Trait, |reader| visit::visit_item_trait(reader, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let place = if item.trait_.is_some() { Place::Trait } else { Place::Inherent };
        self.inside(place, |reader| visit::visit_item_impl(reader, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.inside(Place::Free, |reader| {
            reader.function(&item.sig, &item.block);
            visit::visit_item_fn(reader, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// The attributes of the items that can be for tests.
fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[test]`, `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let read = Tokens::read(list.tokens.clone());
            let has = |word: &str| read.tokens.iter().any(|token| token.text == word);
            has("test") && !has("not") && !has("any")
        }
        _ => false,
    }
}
