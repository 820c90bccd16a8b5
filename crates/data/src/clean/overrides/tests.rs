//! What an overrides file may say, and what is said of one that may not.

use proptest::prelude::*;

use super::*;
use crate::manifest::ImageRecord;

fn parsed(text: &str) -> Vec<(String, Action, Option<String>, String, usize)> {
    let overrides = Overrides::parse("o.csv", text).unwrap();
    let row = |d: Decision| (d.id, d.action, d.label, d.note, d.line);
    overrides.decisions.into_iter().map(row).collect()
}

fn wrong(text: &str) -> Vec<String> {
    Overrides::parse("o.csv", text).unwrap_err().iter().map(Wrong::to_string).collect()
}

#[test]
fn rows_are_read_with_quotes_line_breaks_and_columns_in_any_order() {
    let text = "\u{feff}Action,id,note,label\r\nkeep,a.png,,\r\n\r\nrelabel,\"b,1.png\",\"two\nlines\",\"say \"\"cat\"\"\"\r\ndrop,c.png";
    assert_eq!(
        parsed(text),
        [
            ("a.png".into(), Action::Keep, None, String::new(), 2),
            ("b,1.png".into(), Action::Relabel, Some("say \"cat\"".into()), "two\nlines".into(), 4),
            ("c.png".into(), Action::Drop, None, String::new(), 6),
        ]
    );
}

#[test]
fn every_wrong_line_is_told_with_its_number() {
    let text = "id,action,label\na,kepe,\nb,relabel,\nc,keep,cat\n,drop,\nd,keep\nd,drop\ne,drop,,,\nf,drop\nf,drop\n";
    assert_eq!(
        wrong(text),
        [
            "`o.csv:2`: there is no action `kepe` (write keep, drop, relabel or downweight)",
            "`o.csv:3`: `relabel` needs a class in the column `label`",
            "`o.csv:4`: `keep` takes no label, but this row has `cat` (write `relabel`, or leave `label` empty)",
            "`o.csv:5`: the row names no image (`id` is empty)",
            "`o.csv:7`: `d` is decided otherwise on line 6 (delete one of the two lines)",
            "`o.csv:8`: 5 cells in 3 columns (put quotes around text with commas)",
        ]
    );
}

#[test]
fn a_file_that_is_no_such_table_is_told_so() {
    assert_eq!(wrong(""), ["`o.csv:1`: the file is empty (its first line is `id,action,label,note`)"]);
    assert_eq!(
        wrong("id;action\na;keep"),
        ["`o.csv:1`: columns are not separated by commas (save the file as comma-separated CSV)"]
    );
    assert_eq!(
        wrong("id,label\na,b"),
        ["`o.csv:1`: column `action` is missing (the first line is `id,action,label,note`)"]
    );
    assert_eq!(
        wrong("id,action,why\n"),
        ["`o.csv:1`: there is no column `why` (the columns are id, action, label, note)"]
    );
    assert_eq!(wrong("id,action\na,keep\n\"b,drop\n"), ["`o.csv:3`: a quote is opened and not closed"]);
}

#[test]
fn a_header_alone_decides_nothing() {
    assert!(parsed("id,action,label,note\n").is_empty());
}

#[test]
fn rows_find_their_images_and_classes() {
    let image = |id: &str| ImageRecord { id: id.to_owned(), ..ImageRecord::default() };
    let manifest = Manifest {
        classes: vec!["cat".into(), "dog".into()],
        images: vec![image("a"), image("b")],
        ..Manifest::default()
    };
    let overrides = Overrides::parse("o.csv", "id,action,label\nz,drop\nb,relabel,dog\n").unwrap();
    let resolved = overrides.resolve(&manifest).unwrap();
    assert_eq!(resolved.unknown, [&overrides.decisions[0]]);
    assert_eq!((resolved.found[0].index, resolved.found[0].label), (1, Some(1)));
    // A class is wrong even where no image has the id.
    let overrides = Overrides::parse("o.csv", "id,action,label\nz,relabel,cow\n").unwrap();
    assert_eq!(
        overrides.resolve(&manifest).unwrap_err().to_string(),
        "`o.csv:2`: there is no class `cow` (the classes are `cat`, `dog`)"
    );
}

fn csv_cell(text: &str) -> String {
    format!("\"{}\"", inert_cell(text).replace('"', "\"\""))
}

proptest! {
    #[test]
    fn any_id_comes_back_and_none_begins_like_a_formula(id in "[=+@'\"\\-,;a\n\r\té ]{1,12}") {
        let cell = csv_cell(&id);
        prop_assert!(!cell[1..].starts_with(['=', '+', '-', '@', '\t', '\r']));
        let text = format!("id,action,label,note\n{cell},keep,,\n");
        prop_assert_eq!(&parsed(&text)[0].0, &id);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[idacton,\"\n\r;=keep ]{0,60}") {
        let _ = Overrides::parse("o.csv", &text);
        let _ = Overrides::parse("o.csv", &format!("id,action\n{text}"));
    }
}
