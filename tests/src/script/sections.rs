//! A script as a file: commands, a line `---`, what came of them, an empty line, and so on.

/// Commands and what came of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Section {
    /// The lines of the commands, comments and empty lines included, as they are in the file.
    pub(super) input: Vec<String>,
    /// The number of the first line in the file, from 1.
    line: usize,
    /// The lines behind `---`.
    pub(super) output: Vec<String>,
}

impl Section {
    /// The sections of a file. What is behind the last output is a section without output.
    pub(super) fn parse(text: &str) -> Vec<Self> {
        let mut sections = Vec::new();
        let mut section = Self { input: Vec::new(), line: 1, output: Vec::new() };
        let mut in_output = false;
        for (index, line) in text.lines().enumerate() {
            match (in_output, line) {
                (false, "---") => in_output = true,
                (false, _) => section.input.push(line.to_owned()),
                (true, "") => {
                    let next = Self { input: Vec::new(), line: index + 2, output: Vec::new() };
                    sections.push(std::mem::replace(&mut section, next));
                    in_output = false;
                }
                (true, _) => section.output.push(line.to_owned()),
            }
        }
        if in_output || !section.input.is_empty() {
            sections.push(section);
        }
        sections
    }

    /// The commands with the numbers of their lines. A line that is indented goes on with the one
    /// before.
    pub(super) fn commands(&self) -> Vec<(usize, String)> {
        let mut commands: Vec<(usize, String)> = Vec::new();
        for (index, line) in self.input.iter().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match commands.last_mut() {
                Some((_, command)) if line.starts_with(' ') => {
                    command.push(' ');
                    command.push_str(line.trim());
                }
                _ => commands.push((self.line + index, line.trim().to_owned())),
            }
        }
        commands
    }

    /// As it stands in the file, with some output.
    pub(super) fn to_text(&self, output: &[String]) -> String {
        let mut text = String::new();
        for line in &self.input {
            text.push_str(line);
            text.push('\n');
        }
        if self.commands().is_empty() {
            return text;
        }
        text.push_str("---\n");
        for line in output {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// Breaks a long line behind commas outside of texts; what goes on is indented.
pub(super) fn wrap(line: &str, columns_max: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut in_text = false;
    for letter in line.chars() {
        in_text ^= letter == '"';
        let piece = pieces.last_mut().expect("there is one");
        match letter == ' ' && piece.ends_with(',') && !in_text {
            true => pieces.push(String::new()),
            false => piece.push(letter),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + piece.chars().count() <= columns_max => {
                last.push(' ');
                last.push_str(&piece);
            }
            Some(_) => lines.push(format!("    {piece}")),
            None => lines.push(piece),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# About\n\nfirst a,\n  b\nsecond\n---\nout\nmore\n\nthird\n---\nok\n";

    #[test]
    fn a_file_is_written_as_it_was_read() {
        let sections = Section::parse(TEXT);
        let commands: Vec<_> = sections.iter().flat_map(Section::commands).collect();
        let line = |number, text: &str| (number, text.to_owned());
        assert_eq!(commands, [line(3, "first a, b"), line(5, "second"), line(10, "third")]);
        let texts: Vec<_> =
            sections.iter().map(|section| section.to_text(&section.output)).collect();
        assert_eq!(texts.join("\n"), TEXT);
    }

    #[test]
    fn long_lines_break_behind_commas() {
        let lines = wrap("S1< Packet([1, 2], \"a, b\", 3)", 20);
        assert_eq!(lines, ["S1< Packet([1, 2],", "    \"a, b\", 3)"]);
    }
}
