//! Reads the text of a condition: words, then an expression by precedence
//! (`or`, `and`, `not`, comparison, operand).

use serde_json::{Number, Value};

use super::{Comparison, ConditionError, Expression, Names};

/// Deeper nesting is refused; it would only be an attack.
const MAX_DEPTH: usize = 64;

/// Reads `text` as one expression.
pub(super) fn parse(text: &str, names: &mut dyn Names) -> Result<Expression, ConditionError> {
    let words = words(text)?;
    let mut parser = Parser { words, next: 0, end: text.len(), names, depth: 0 };
    let expression = parser.or()?;
    match parser.peek() {
        None => Ok(expression),
        Some(word) => {
            let help = match word.kind {
                Kind::Sign("=") => "write `==` to compare",
                Kind::Sign("&&") => "write `and`",
                Kind::Sign("||") => "write `or`",
                _ => "join comparisons by `and` or `or`",
            };
            Err(word.error("the condition should end here", Some(help)))
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Number(Number),
    Text(String),
    Reference(String),
    /// A name, `true`, `and`, or `stage.port.path`.
    Name(String),
    Sign(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
struct Word {
    kind: Kind,
    at: usize,
    len: usize,
}

impl Word {
    fn error(&self, message: impl Into<String>, help: Option<&str>) -> ConditionError {
        ConditionError { at: self.at, len: self.len, message: message.into(), help: help.map(str::to_owned) }
    }
}

const SIGNS: [&str; 12] = ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "(", ")", "=", "!"];

/// Splits `text` into words.
fn words(text: &str) -> Result<Vec<Word>, ConditionError> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, len) = word(&text[at..]).map_err(|(len, message, help)| ConditionError {
            at,
            len,
            message,
            help: Some(help.to_owned()),
        })?;
        words.push(Word { kind, at, len });
        at += len;
    }
    Ok(words)
}

/// The word that `rest` begins with, and its length.
fn word(rest: &str) -> Result<(Kind, usize), (usize, String, &'static str)> {
    let first = rest.chars().next().unwrap_or(' ');
    if rest.starts_with("${") {
        let Some(end) = rest.find('}') else {
            return Err((rest.len(), "`${` is not closed".to_owned(), "close it by `}`"));
        };
        return Ok((Kind::Reference(rest[2..end].trim().to_owned()), end + 1));
    }
    if matches!(first, '\'' | '"') {
        return quoted(rest, first);
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Kind::Sign(sign), sign.len()));
    }
    let length = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    if first.is_ascii_digit() || matches!(first, '-' | '+' | '.') {
        let length = length(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'));
        let written = &rest[..length];
        let plain = written.strip_prefix('+').unwrap_or(written);
        let number = plain.parse::<i64>().map(Number::from).ok();
        let number = number.or_else(|| plain.parse::<f64>().ok().and_then(Number::from_f64));
        return match number {
            Some(number) => Ok((Kind::Number(number), length)),
            None => {
                Err((length, format!("`{written}` is not a number"), "write text in quotes: 'like this'"))
            }
        };
    }
    if first.is_ascii_alphabetic() || first == '_' {
        // Names of matrix instances hold `@`, `-`, `+` and dots; there is no arithmetic to confuse.
        let belongs = |c: char| c.is_ascii_alphanumeric() || "_.@-+[]".contains(c);
        let length = length(belongs);
        return Ok((Kind::Name(rest[..length].to_owned()), length));
    }
    Err((
        first.len_utf8(),
        format!("`{first}` means nothing here"),
        "a condition compares numbers, quoted text, `${…}` and `stage.port.value`",
    ))
}

/// Text in quotes; a doubled quote stands for one.
fn quoted(rest: &str, quote: char) -> Result<(Kind, usize), (usize, String, &'static str)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            text.push(quote);
        } else {
            return Ok((Kind::Text(text), at + 1));
        }
    }
    Err((rest.len(), "this text is not closed".to_owned(), "close it by the quote it begins with"))
}

struct Parser<'n> {
    words: Vec<Word>,
    next: usize,
    end: usize,
    names: &'n mut dyn Names,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.next)
    }

    /// Whether the next word is the name `name`, which is then taken.
    fn take(&mut self, name: &str) -> bool {
        let found = matches!(self.peek(), Some(Word { kind: Kind::Name(word), .. }) if word == name);
        self.next += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Expression, ConditionError> {
        let mut left = self.and()?;
        while self.take("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, ConditionError> {
        let mut left = self.not()?;
        while self.take("and") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression, ConditionError> {
        if !self.take("not") {
            return self.comparison();
        }
        self.deeper()?;
        let inner = self.not()?;
        self.depth -= 1;
        Ok(Expression::Not(Box::new(inner)))
    }

    fn deeper(&mut self) -> Result<(), ConditionError> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        let (at, len) = self.peek().map_or((self.end, 0), |word| (word.at, word.len));
        Err(ConditionError { at, len, message: "this condition is nested too deeply".to_owned(), help: None })
    }

    fn comparison(&mut self) -> Result<Expression, ConditionError> {
        let left = self.operand()?;
        let comparison = match self.peek().map(|word| &word.kind) {
            Some(Kind::Sign("==")) => Comparison::Equal,
            Some(Kind::Sign("!=")) => Comparison::NotEqual,
            Some(Kind::Sign("<")) => Comparison::Less,
            Some(Kind::Sign("<=")) => Comparison::LessOrEqual,
            Some(Kind::Sign(">")) => Comparison::Greater,
            Some(Kind::Sign(">=")) => Comparison::GreaterOrEqual,
            _ => return Ok(left),
        };
        self.next += 1;
        let right = self.operand()?;
        Ok(Expression::Compare(Box::new(left), comparison, Box::new(right)))
    }

    fn operand(&mut self) -> Result<Expression, ConditionError> {
        let Some(word) = self.peek().cloned() else {
            let message = "the condition ends where a value should follow".to_owned();
            let help = Some("a number, quoted text, `${…}` or `stage.port.value`".to_owned());
            return Err(ConditionError { at: self.end.saturating_sub(1), len: 1, message, help });
        };
        self.next += 1;
        match &word.kind {
            Kind::Number(number) => Ok(Expression::Literal(Value::Number(number.clone()))),
            Kind::Text(text) => Ok(Expression::Literal(Value::String(text.clone()))),
            Kind::Reference(name) => match self.names.value(name) {
                Ok(value) => Ok(Expression::Literal(value)),
                Err((message, help)) => Err(word.error(message, help.as_deref())),
            },
            Kind::Sign("(") => {
                self.deeper()?;
                let inner = self.or()?;
                self.depth -= 1;
                match self.peek().map(|word| &word.kind) {
                    Some(Kind::Sign(")")) => {
                        self.next += 1;
                        Ok(inner)
                    }
                    _ => Err(word.error("this parenthesis is not closed", Some("close it by `)`"))),
                }
            }
            Kind::Sign("!") => Err(word.error("`!` means nothing here", Some("write `not`"))),
            Kind::Sign(sign) => Err(word.error(format!("a value should stand before `{sign}`"), None)),
            Kind::Name(name) => self.named(&word, name),
        }
    }

    fn named(&mut self, word: &Word, name: &str) -> Result<Expression, ConditionError> {
        match name {
            "true" => return Ok(Expression::Literal(Value::Bool(true))),
            "false" => return Ok(Expression::Literal(Value::Bool(false))),
            "null" => return Ok(Expression::Literal(Value::Null)),
            "and" | "or" => return Err(word.error(format!("a value should stand before `{name}`"), None)),
            _ => {}
        }
        if !name.contains('.') {
            let help = format!("write text in quotes: '{name}'; outputs are `stage.port.value`");
            return Err(word.error(format!("`{name}` names nothing"), Some(&help)));
        }
        let (output, rest) =
            self.names.output(name).map_err(|(message, help)| word.error(message, help.as_deref()))?;
        let path = rest.split(['.', '[', ']']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Ok(Expression::Output { output, path, shown: name.to_owned() })
    }
}
