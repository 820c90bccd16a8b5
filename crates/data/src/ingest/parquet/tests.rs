//! Files that claim what they don't have: each is refused with what is wrong, none gets to the reader.

use polars::prelude::{DataFrame, NamedFrom as _, ParquetWriter, Series};

use super::open;
use super::thrift::Value;

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

/// What [`Value::read`] reads.
fn written(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Number(1..=3, number) => out.push(*number as u8),
        Value::Number(_, number) => zigzag(*number, out),
        Value::Double(bytes) => out.extend_from_slice(bytes),
        Value::Bytes(bytes) => {
            varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
        Value::List(kind, values) => {
            out.push(0xf0 | kind);
            varint(values.len() as u64, out);
            values.iter().for_each(|value| written(value, out));
        }
        Value::Struct(fields) => {
            for (number, value) in fields {
                let kind = match value {
                    Value::Number(kind, _) => *kind,
                    Value::Double(_) => 7,
                    Value::Bytes(_) => 8,
                    Value::List(..) => 9,
                    Value::Struct(_) => 12,
                };
                out.push(kind);
                zigzag(i64::from(*number), out);
                if kind > 2 {
                    written(value, out);
                }
            }
            out.push(0);
        }
    }
}

/// The value behind field numbers and places in lists.
fn at<'v, 'a>(value: &'v mut Value<'a>, path: &[usize]) -> &'v mut Value<'a> {
    path.iter().fold(value, |value, &step| match value {
        Value::List(_, values) => &mut values[step],
        Value::Struct(fields) => {
            fields.iter_mut().find(|(at, _)| *at == step as i16).map(|f| &mut f.1).unwrap()
        }
        _ => panic!("nothing is in {value:?}"),
    })
}

fn set(value: &mut Value<'_>, path: &[usize], to: i64) {
    let Value::Number(_, number) = at(value, path) else { panic!("no number at {path:?}") };
    *number = to;
}

fn get(value: &mut Value<'_>, path: &[usize]) -> i64 {
    let Value::Number(_, number) = at(value, path) else { panic!("no number at {path:?}") };
    *number
}

/// A table of 300 images of three classes.
fn good() -> Vec<u8> {
    let paths: Vec<String> = (0..300).map(|row| format!("{row}.png")).collect();
    let labels: Vec<&str> = (0..300).map(|row| ["cat", "dog", "owl"][row % 3]).collect();
    let columns = vec![Series::new("path".into(), paths).into(), Series::new("label".into(), labels).into()];
    let mut file = Vec::new();
    ParquetWriter::new(&mut file).finish(&mut DataFrame::new(300, columns).unwrap()).unwrap();
    file
}

/// Where the footer begins.
fn footer_of(file: &[u8]) -> usize {
    let size = file[file.len() - 8..].first_chunk::<4>().map(|size| u32::from_le_bytes(*size)).unwrap();
    file.len() - 8 - size as usize
}

fn with_footer(data: &[u8], footer: &[u8]) -> Vec<u8> {
    [data, footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// The file with another footer.
fn forged(change: impl FnOnce(&mut Value<'_>)) -> Vec<u8> {
    let file = good();
    let begin = footer_of(&file);
    let (mut footer, _) = Value::read(&file[begin..]).unwrap();
    change(&mut footer);
    let mut bytes = Vec::new();
    written(&footer, &mut bytes);
    with_footer(&file[..begin], &bytes)
}

/// The description of the column `label`, which lies last.
const LABEL: [usize; 5] = [4, 0, 1, 1, 3];

fn label(field: usize) -> Vec<usize> {
    LABEL.into_iter().chain([field]).collect()
}

/// The file with another head of the first page of `label` (a dictionary) or the next one (its values).
fn forged_page(second: bool, change: impl FnOnce(&mut Value<'_>, &mut Value<'_>)) -> Vec<u8> {
    let file = good();
    let begin = footer_of(&file);
    let (mut footer, _) = Value::read(&file[begin..]).unwrap();
    let field = if second { 9 } else { 11 };
    let place = get(&mut footer, &label(field)) as usize;
    let (mut head, size) = Value::read(&file[place..]).unwrap();
    change(&mut head, &mut footer);
    let mut page = Vec::new();
    written(&head, &mut page);
    let grown = page.len() as i64 - size as i64;
    let packed = get(&mut footer, &label(7));
    if packed < 1 << 20 {
        set(&mut footer, &label(7), packed + grown);
    }
    if !second {
        let first = get(&mut footer, &label(9));
        set(&mut footer, &label(9), first + grown);
    }
    let mut bytes = Vec::new();
    written(&footer, &mut bytes);
    with_footer(&[&file[..place], &page, &file[place + size..begin]].concat(), &bytes)
}

fn read(file: &[u8]) -> anyhow::Result<usize> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    std::fs::write(&path, file).unwrap();
    open(&path, "t.parquet", &["path", "label", "split"]).map(|table| table.frame.height())
}

#[test]
fn a_file_that_is_written_anew_without_a_lie_is_read() {
    assert_eq!(read(&good()).unwrap(), 300);
    assert_eq!(read(&forged(|_| {})).unwrap(), 300);
    assert_eq!(read(&forged_page(false, |_, _| {})).unwrap(), 300);
    assert_eq!(read(&forged_page(true, |_, _| {})).unwrap(), 300);
}

#[test]
fn files_that_claim_what_they_do_not_have_are_refused() {
    const MANY: i64 = i32::MAX as i64;
    let data = |file: &[u8]| file[..footer_of(file)].to_vec();
    // A version, and a list of 2^31 - 1 structs of which none is there.
    let mut endless = vec![0x15, 2, 0x19, 0xfc];
    varint(MANY as u64, &mut endless);
    endless.extend([0; 4]);
    let mut long = vec![0x15, 2, 0x19, 0x1c, 0x48];
    varint(1 << 40, &mut long);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("it claims 1099511627776 rows", forged(|f| set(f, &[3], 1 << 40))),
        ("it claims -1 rows", forged(|f| set(f, &[3], -1))),
        ("it claims 2147483647 elements, for which it has no bytes", with_footer(&data(&good()), &endless)),
        ("it claims 1099511627776 elements", with_footer(&data(&good()), &long)),
        ("it is nested too deeply", with_footer(&data(&good()), &[0x1c; 50_000])),
        ("its groups have more rows than the 300 it claims", forged(|f| set(f, &[4, 0, 3], 301))),
        ("its groups have 299 rows, not the 300", forged(|f| set(f, &[4, 0, 3], 299))),
        ("`label`: is to lie where the file has no data", forged(|f| set(f, &label(7), i64::MAX))),
        ("`label`: is to lie where the file has no data", forged(|f| set(f, &label(7), -1))),
        ("`label`: has its dictionary behind its values", forged(|f| set(f, &label(11), 1 << 40))),
        (
            "`label`: is to lie where the file has no data",
            forged(|f| [9, 11].map(|field| set(f, &label(field), 1 << 40)).into_iter().collect()),
        ),
        ("`label`: claims 2147483647 values, and its pages have 300", forged(|f| set(f, &label(5), MANY))),
        ("`label`: claims 7 values in 300 rows", forged(|f| set(f, &label(5), 7))),
        (
            "`label`: has more values in its pages than the 301",
            forged_page(true, |head, footer| {
                set(head, &[5, 1], 302);
                set(footer, &label(5), 301);
            }),
        ),
        ("a column claims 2147483647 columns inside of it", forged(|f| set(f, &[2, 0, 5], MANY))),
        (
            "its values of 2147483647 bytes are too large",
            forged(|f| match at(f, &[2, 1]) {
                Value::Struct(fields) => fields.insert(1, (2, Value::Number(5, MANY))),
                _ => panic!(),
            }),
        ),
        ("`label`: unpacks to more than", forged_page(true, |head, _| set(head, &[2], MANY))),
        ("`label`: has a page of -5 bytes", forged_page(true, |head, _| set(head, &[2], -5))),
        ("`label`: has a page that is larger than", forged_page(true, |head, _| set(head, &[3], MANY))),
        ("`label`: has a page that is larger than", forged_page(true, |head, _| set(head, &[3], -1))),
        (
            "`label`: has more values than the limit",
            forged_page(true, |head, footer| {
                set(head, &[5, 1], MANY);
                set(footer, &label(5), MANY);
            }),
        ),
        ("`label`: has a page of -1 values", forged_page(true, |head, _| set(head, &[5, 1], -1))),
        (
            "`label`: has a dictionary of 2147483647 values",
            forged_page(false, |head, _| set(head, &[7, 1], MANY)),
        ),
        (
            "`label`: may unpack to far more than it has",
            forged_page(true, |head, footer| {
                set(head, &[2], 1 << 20);
                set(head, &[5, 1], 1 << 20);
                set(head, &[5, 2], 7);
                set(footer, &label(5), 1 << 20);
            }),
        ),
    ];
    for (expected, file) in cases {
        let error = format!("{:#}", read(&file).unwrap_err());
        assert!(error.starts_with("file `t.parquet` is refused"), "{expected}: {error}");
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let mut footer = good();
    let length = footer.len();
    footer[length - 8..length - 4].fill(0xff);
    assert!(read(&footer).unwrap_err().root_cause().to_string().contains("more than the file"));
}

#[test]
fn damage_anywhere_is_an_error_or_harmless() {
    let whole = good();
    let mut refused = 0;
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut file = whole.clone();
            file[at] ^= 1 << bit;
            refused += u32::from(read(&file).is_err());
        }
    }
    assert!(refused as usize > whole.len(), "{refused} of {}", 3 * whole.len());
}
