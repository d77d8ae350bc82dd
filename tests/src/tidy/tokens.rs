//! The words of a Rust file: what is left without comments and the insides of strings.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// All tokens in their order, brackets and the tokens between them included, and the attributes.
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<Token>,
    pub(super) attributes: Vec<Attribute>,
}

/// A word, a literal, a bracket, a `::` or any other single character.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// The tokens between the brackets of an attribute.
pub(super) struct Attribute {
    pub(super) tokens: Vec<String>,
    pub(super) line: usize,
}

/// A path somewhere in the file. It has at least one segment.
pub(super) struct PathUse {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

impl Tokens {
    pub(super) fn read(stream: TokenStream) -> Self {
        let mut tokens = Self::default();
        tokens.add(stream);
        tokens
    }

    fn add(&mut self, stream: TokenStream) {
        let mut after_pound = false;
        let mut after_joint_colon = false;
        for tree in stream {
            let line = tree.span().start().line;
            let (was_after_pound, was_after_joint_colon) = (after_pound, after_joint_colon);
            (after_pound, after_joint_colon) = (false, false);
            match tree {
                TokenTree::Group(group) => self.add_group(&group, was_after_pound),
                TokenTree::Ident(ident) => self.push(ident.to_string(), line),
                TokenTree::Literal(literal) => self.push(literal.to_string(), line),
                TokenTree::Punct(punct) if punct.as_char() == ':' && was_after_joint_colon => {
                    let colon = self.tokens.last_mut().expect("a colon comes before");
                    colon.text = "::".to_owned();
                }
                TokenTree::Punct(punct) => {
                    let letter = punct.as_char();
                    after_pound = letter == '#' || (was_after_pound && letter == '!');
                    after_joint_colon = letter == ':' && punct.spacing() == Spacing::Joint;
                    self.push(letter.to_string(), line);
                }
            }
        }
    }

    fn add_group(&mut self, group: &Group, after_pound: bool) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        let line = group.span_open().start().line;
        self.push(open.to_owned(), line);
        let first = self.tokens.len();
        self.add(group.stream());
        if after_pound && open == "[" {
            let tokens = self.tokens[first..].iter().map(|token| token.text.clone()).collect();
            self.attributes.push(Attribute { tokens, line });
        }
        self.push(close.to_owned(), group.span_close().end().line);
    }

    fn push(&mut self, text: String, line: usize) {
        self.tokens.push(Token { text, line });
    }
}

/// Paths of at least two segments, as they are written in one piece.
pub(super) fn paths(tokens: &[Token]) -> Vec<PathUse> {
    let mut paths = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let continues = index > 0 && ["::", "."].contains(&tokens[index - 1].text.as_str());
        if continues || !is_name(token) {
            continue;
        }
        let mut segments = vec![token.text.clone()];
        for pair in tokens[index + 1..].chunks_exact(2) {
            if pair[0].text != "::" || !is_name(&pair[1]) {
                break;
            }
            segments.push(pair[1].text.clone());
        }
        if segments.len() > 1 {
            paths.push(PathUse { segments, line: token.line });
        }
    }
    paths
}

fn is_name(token: &Token) -> bool {
    token.text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}
