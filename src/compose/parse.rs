//! Phase 1: text to trees with places. Anchors, aliases and merge keys are resolved here, so
//! no later phase knows them; so are the limits that keep hostile files cheap.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::limits::{self, Budget, MAX_ALIASED, MAX_DEPTH, MAX_FILE};
use super::padding::{Offsets, Pad, Padding, in_brackets, tab_in_brackets};
use super::provenance::{Trail, Via};
use super::tree::{Map, Mark, Node, Value};
use super::{scalar, syntax};
use crate::diag::{Diagnostic, Source, Span};

/// Returns the documents of a file, without trails.
#[cfg(test)]
pub(crate) fn documents(path: &Path, bytes: Vec<u8>, budget: &Budget, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    documents_with(path, bytes, None, budget, diagnostics)
}

/// Returns the documents of a file, every node with the trail. Empty documents are left out.
///
/// After a mistake in the syntax nothing of that file is returned, as the rest would be guesswork.
pub(crate) fn documents_with(
    path: &Path,
    bytes: Vec<u8>,
    trail: Option<&Arc<Trail>>,
    budget: &Budget,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Node> {
    let Some(source) = source(path, bytes, diagnostics) else { return Vec::new() };
    let before = diagnostics.len();
    let values = budget.values_left();
    let mut padding = Padding::default();
    loop {
        let (text, offsets) = padding.apply(&source.text);
        let mut reader = Reader {
            offsets,
            source: &source,
            budget,
            stack: Vec::new(),
            anchors: HashMap::new(),
            aliased: 0,
            documents: Vec::new(),
            trail: trail.cloned(),
            diagnostics,
        };
        match reader.read(&text) {
            Ok(()) if reader.diagnostics.len() == before => return reader.documents,
            Ok(()) | Err(Stop::Told) => return Vec::new(),
            Err(Stop::Indentation { at, pad, .. }) if padding.add(&source.text, at, pad) => {
                diagnostics.truncate(before);
                budget.give_back(values);
            }
            Err(Stop::Tab { at, .. }) if padding.untab(&source.text, at) => diagnostics.truncate(before),
            Err(Stop::Indentation { diagnostic, .. } | Stop::Tab { diagnostic, .. } | Stop::Mistake(diagnostic)) => {
                diagnostics.push(*diagnostic);
                return Vec::new();
            }
        }
    }
}

/// Returns the text of a file that is acceptable as YAML at all: small, UTF-8, no control characters.
fn source(path: &Path, bytes: Vec<u8>, diagnostics: &mut Vec<Diagnostic>) -> Option<Arc<Source>> {
    let name = path.display();
    if bytes.len() > MAX_FILE {
        let message = format!("{name} is too large: {} bytes, at most {MAX_FILE} are read", bytes.len());
        let help =
            "split it: other files come in by `include`, `extends` or a second -f, and data by `env_file` or `configs`";
        diagnostics.push(Diagnostic::error(message, None).help(help));
        return None;
    }
    let bytes = match utf16(&bytes) {
        Some(text) => text.into_bytes(),
        None => bytes,
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = Arc::new(Source::new(path, text));
            diagnostics.push(
                Diagnostic::error(
                    format!("{name} is not UTF-8 text"),
                    Span { source, start: at, end: at + '\u{fffd}'.len_utf8() },
                )
                .label("the first byte that is no text")
                .help("save the file with UTF-8 encoding"),
            );
            return None;
        }
    };
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let forbidden = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r');
    let bad = text.find(forbidden);
    let source = Arc::new(Source::new(path, text));
    if let Some(at) = bad {
        let code = source.text.as_bytes()[at];
        let span = Span { source, start: at, end: at + 1 };
        diagnostics.push(
            Diagnostic::error(format!("a control character (0x{code:02x}) is not allowed in YAML"), span)
                .help("remove it, or write it as an escape in a double-quoted string"),
        );
        return None;
    }
    if let Some(at) = foreign_version(&source.text) {
        let end = at + source.text[at..].lines().next().unwrap_or_default().trim_end().len();
        let message = "this version of YAML is not the one that Compose files are written in";
        let span = Span { source, start: at, end };
        diagnostics.push(Diagnostic::error(message, span).help("remove the line, or write %YAML 1.1"));
        return None;
    }
    Some(source)
}

/// Returns where a directive asks for another version of YAML than the reference's reader takes.
fn foreign_version(text: &str) -> Option<usize> {
    let (mut at, mut before_document) = (0, true);
    for line in text.split_inclusive('\n') {
        if before_document && line.strip_prefix("%YAML").is_some_and(|rest| rest.trim_start().trim_end() != "1.1") {
            return Some(at);
        }
        before_document = match line.as_bytes() {
            _ if line.trim_end() == "..." => true,
            [b'%' | b'#', ..] => before_document,
            _ => before_document && line.trim().is_empty(),
        };
        at += line.len();
    }
    None
}

/// Returns the text of a file that says by its first two bytes that it is UTF-16, where it really is.
fn utf16(bytes: &[u8]) -> Option<String> {
    let unit = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return None,
    };
    let units = bytes.chunks(2).map(|pair| pair.try_into().map(unit));
    String::from_utf16(&units.collect::<Result<Vec<u16>, _>>().ok()?).ok()
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    budget: &'a Budget,
    offsets: Offsets,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    aliased: usize,
    documents: Vec<Node>,
    trail: Option<Arc<Trail>>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

/// What an alias stands for.
struct Anchored {
    node: Node,
    /// Values in it.
    size: usize,
    /// Lists and mappings in one another.
    height: usize,
}

/// A collection that is being read.
struct Frame {
    content: Content,
    anchor: usize,
    start: Span,
    mark: Mark,
}

#[expect(clippy::large_enum_variant, reason = "there are never more than MAX_DEPTH of them")]
enum Content {
    List(Vec<Node>),
    Map { map: Map, merge: Option<Node>, key: Option<Key> },
}

struct Key {
    text: String,
    span: Span,
    merge: bool,
    plain: bool,
}

/// Why reading ended early.
enum Stop {
    /// What was told already.
    Told,
    /// A mistake.
    Mistake(Box<Diagnostic>),
    /// The parser wants a line further to the right than YAML in practice does.
    Indentation { at: usize, pad: Pad, diagnostic: Box<Diagnostic> },
    /// The parser takes no tab between a key and its value.
    Tab { at: usize, diagnostic: Box<Diagnostic> },
}

impl From<Diagnostic> for Stop {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Mistake(Box::new(diagnostic))
    }
}

impl Reader<'_> {
    /// Reads the text that was made of the source, the same but for blanks.
    fn read(&mut self, read: &str) -> Result<(), Stop> {
        let text = &self.source.clone().text;
        let mut parser = Parser::new_from_str(read);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let start = self.offsets.byte(error.marker().index()).min(text.len());
                // A whole character: the place of a mistake must be text.
                let end = start + text.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
                let span = Span { source: self.source.clone(), start, end };
                let diagnostic = self.syntax_error(error.info(), span);
                let pad = match error.info() {
                    "invalid indentation"
                    | "invalid indentation in flow construct"
                    | "tab cannot be used as indentation" => Some(Pad::Line),
                    "tabs disallowed within this context (block indentation)" if in_brackets(text, start) => {
                        Some(Pad::Line)
                    }
                    "while scanning a plain scalar, found a tab" => tab_in_brackets(text, start).map(Pad::LineOf),
                    "comments must be separated from other tokens by whitespace" => Some(Pad::Here),
                    "invalid indentation in quoted scalar" => Some(Pad::Quoted),
                    _ => None,
                };
                let tab = error.info() == "':' must be followed by a valid YAML whitespace";
                match pad {
                    None if tab => Stop::Tab { at: start, diagnostic: Box::new(diagnostic) },
                    Some(pad) => Stop::Indentation { at: start, pad, diagnostic: Box::new(diagnostic) },
                    None => diagnostic.into(),
                }
            })?;
            let start = self.offsets.byte(span.start.index()).min(text.len());
            let end = self.offsets.byte(span.end.index()).min(text.len()).max(start);
            let span = Span { source: self.source.clone(), start, end };
            if !self.budget.values(1, Some(&span), self.diagnostics) || limits::enough(self.diagnostics) {
                return Err(Stop::Told);
            }
            match event {
                Event::Scalar(content, style, anchor, tag) => {
                    let mut content = &*content;
                    // No line break is made up for a block that ends with the file.
                    if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
                        && end == text.len()
                        && !text.ends_with(['\n', '\r'])
                    {
                        content = content.strip_suffix('\n').unwrap_or(content);
                    }
                    let node = self.scalar(content, style, tag.as_deref(), span)?;
                    self.take(node, anchor, style == ScalarStyle::Plain)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.open(Content::List(Vec::new()), anchor, span, tag.as_deref())?;
                }
                Event::MappingStart(anchor, tag) => {
                    let content = Content::Map { map: Map::default(), merge: None, key: None };
                    self.open(content, anchor, span, tag.as_deref())?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(end)?,
                Event::Alias(anchor) => {
                    let node = self.alias(anchor, span)?;
                    self.take(node, 0, false)?;
                }
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Node, Stop> {
        let value = match tag {
            Some(tag) if tag.is_yaml_core_schema() => match scalar::tagged(text, &tag.suffix) {
                Some(value) => value,
                None => {
                    let message = format!("{text:?} is not what the tag `!!{}` says", tag.suffix);
                    return Err(Diagnostic::error(message, span).help("remove the tag, or correct the value").into());
                }
            },
            _ if style == ScalarStyle::Plain => scalar::resolve(text),
            _ => Value::Text(text.to_owned()),
        };
        Ok(Node { value, span: Some(span), key: None, mark: mark(tag), trail: self.trail.clone() })
    }

    fn open(&mut self, content: Content, anchor: usize, start: Span, tag: Option<&Tag>) -> Result<(), Stop> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(start).into());
        }
        self.stack.push(Frame { content, anchor, start, mark: mark(tag) });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Stop> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Map { mut map, merge, .. } => {
                if let Some(merge) = merge {
                    self.merge(&mut map, merge);
                }
                Value::Map(map)
            }
        };
        let span = Span { end: end.max(frame.start.end), ..frame.start };
        let trail = self.trail.clone();
        self.take(Node { value, span: Some(span), key: None, mark: frame.mark, trail }, frame.anchor, false)
    }

    /// Puts a finished node where it belongs: as a key, a value, an item or a document.
    fn take(&mut self, mut node: Node, anchor: usize, plain: bool) -> Result<(), Stop> {
        if anchor > 0 {
            let anchored = Anchored { size: limits::size(&node), height: height(&node), node: node.clone() };
            self.count(anchored.size, node.span.as_ref())?;
            self.anchors.insert(anchor, anchored);
        }
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => {
                if !node.is_null() {
                    self.documents.push(node);
                }
            }
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { map, merge, key }) => match key.take() {
                None => {
                    let span = node.span.clone().unwrap_or_else(|| empty(self.source));
                    match node.value {
                        Value::Text(text) => *key = Some(Key { merge: plain && text == "<<", text, span, plain }),
                        _ => {
                            let message = format!("a key must be a string, this is {}", node.kind());
                            let written = self.source.text.get(span.start..span.end).unwrap_or_default().trim();
                            let help = format!("put it in quotes: \"{written}\"");
                            self.diagnostics.push(Diagnostic::error(message, span.clone()).help(help));
                            *key = Some(Key { text: format!("\0{}", span.start), span, merge: false, plain });
                        }
                    }
                }
                Some(mut key) => {
                    if node.is_null() && key.plain && colon_belongs_to_key(&key.span) {
                        key.text.push(':');
                    }
                    let first = if key.merge { merge.as_ref() } else { map.get(&key.text) };
                    if let Some(first) = first.and_then(|node| node.key.clone()) {
                        self.diagnostics.push(
                            Diagnostic::error(format!("the key {:?} is written twice", key.text), key.span.clone())
                                .label(format!("first written at {}", first.location()))
                                .help("remove or rename one of them"),
                        );
                    }
                    node.key = Some(key.span);
                    if key.merge {
                        *merge = Some(node);
                    } else {
                        map.insert(key.text, node);
                    }
                }
            },
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node, Stop> {
        let Some(Anchored { size, height, .. }) = self.anchors.get(&anchor) else {
            return Err(Diagnostic::error("this alias refers to a value that contains it", span).into());
        };
        if self.stack.len() + height > MAX_DEPTH {
            return Err(too_deep(span).into());
        }
        self.count(*size, Some(&span))?;
        let mut node = self.anchors.get(&anchor).map(|anchored| anchored.node.clone()).ok_or(Stop::Told)?;
        node.all_came(Via::Alias { at: span });
        Ok(node)
    }

    /// Counts the values that aliases and anchors stand for, so that no file grows without bound.
    fn count(&mut self, size: usize, span: Option<&Span>) -> Result<(), Stop> {
        self.aliased += size;
        if self.aliased > MAX_ALIASED {
            let message = format!("the aliases of this file stand for more than {MAX_ALIASED} values");
            return Err(Diagnostic::error(message, span.cloned())
                .label("one too many")
                .help("put some of the services into another file and `include` it")
                .into());
        }
        if self.budget.values(size, span, self.diagnostics) { Ok(()) } else { Err(Stop::Told) }
    }

    fn syntax_error(&self, info: &str, span: Span) -> Diagnostic {
        if info == "recursion limit exceeded" {
            return too_deep(span);
        }
        let bracket = |frame: &&Frame| matches!(self.source.text.as_bytes().get(frame.start.start), Some(b'[' | b'{'));
        syntax::explain(info, span, self.stack.iter().rfind(bracket).map(|frame| &frame.start))
    }

    /// Adds what `<<` names to a mapping; keys that are there win, and earlier sources over later.
    fn merge(&mut self, map: &mut Map, merge: Node) {
        let key = merge.key.clone();
        let sources = match merge.value {
            Value::List(items) => items,
            _ => vec![merge],
        };
        for source in sources {
            match source.value {
                Value::Map(entries) => {
                    for (key, node) in entries {
                        match map.get_mut(&key) {
                            Some(own) => own.hide(node),
                            None => drop(map.insert(key, node)),
                        }
                    }
                }
                _ => {
                    let message =
                        format!("the merge key `<<` takes a mapping or a list of mappings, not {}", source.kind());
                    self.diagnostics.push(Diagnostic::error(message, source.span.or_else(|| key.clone())));
                }
            }
        }
    }
}

/// Returns true for `{key:}`: the reference's reader takes a colon that no blank follows as part
/// of the key.
fn colon_belongs_to_key(key: &Span) -> bool {
    matches!(key.source.text.as_bytes().get(key.end..), Some([b':', b'}' | b',' | b']', ..]))
}

/// Returns how many lists and mappings are in one another.
fn height(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Map(map) => 1 + map.values().map(height).max().unwrap_or(0),
        _ => 0,
    }
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(format!("nested too deeply: more than {MAX_DEPTH} levels"), span)
        .help("no attribute needs more than about ten; put data into a file of its own and mount it")
}

fn mark(tag: Option<&Tag>) -> Mark {
    match tag {
        Some(tag) if tag.handle == "!" && tag.suffix == "reset" => Mark::Reset,
        Some(tag) if tag.handle == "!" && tag.suffix == "override" => Mark::Override,
        _ => Mark::None,
    }
}

fn empty(source: &Arc<Source>) -> Span {
    Span { source: source.clone(), start: 0, end: 0 }
}
