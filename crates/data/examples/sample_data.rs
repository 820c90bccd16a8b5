//! Draws `data/sample/` and `data/sample.truth.csv` from the Fashion-MNIST IDX files, with planted flaws.
//!
//! ```text
//! cargo run -p peregrine-data --example sample_data -- IDX_FOLDER OUT_FOLDER [SEED]
//! ```
//!
//! Every draw is keyed by the seed, the class and the purpose, and only whole-number arithmetic touches
//! pixels, so the files are the same byte for byte on every machine with this lock file.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use peregrine_pipeline::Seed;
use peregrine_pipeline::seed::Draws;

/// Side of an image in pixels.
const SIDE: usize = 28;

/// Folder name of each label, and how many unflawed images of it are drawn.
const CLASSES: [(&str, usize); 10] = [
    ("t-shirt_top", 191),
    ("trouser", 118),
    ("pullover", 164),
    ("dress", 141),
    ("coat", 152),
    ("sandal", 104),
    ("shirt", 203),
    ("sneaker", 176),
    ("bag", 87),
    ("ankle_boot", 127),
];

/// Pairs of labels that people and networks confuse; half of the flipped labels stay inside them.
const CONFUSABLE: [(usize, usize); 5] = [(0, 6), (2, 4), (4, 6), (5, 7), (7, 9)];

/// What stands in a `.png` that is no picture: things that really end up in such files.
const TEXTS: [&str; 6] = [
    "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>404 Not Found</h1>\n</body>\n</html>\n",
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 612\n",
    "{\"error\": {\"code\": 403, \"message\": \"quota exceeded\"}}\n",
    "label,pixel1,pixel2,pixel3\n3,0,0,0\n",
    "id\tname\n17\tcoat, wool, grey\n",
    "this image was moved to the archive\n",
];

/// A gray image, row by row.
type Pixels = Vec<u8>;

/// One file to be written: where, its bytes, and what was planted in it.
struct Entry {
    /// The folder it lies in, as a label.
    folder: usize,
    bytes: Vec<u8>,
    planted: Option<Planted>,
    /// A natural image that nothing was made from yet: its pixels, for those flaws that copy one.
    natural: Option<Pixels>,
}

/// A row of the truth file, before names are given.
struct Planted {
    flaw: &'static str,
    /// The entry it was copied from.
    of: Option<usize>,
    true_label: Option<usize>,
    note: String,
}

/// The pool of one class, drawn without replacement and without repeated pixels.
struct Pool {
    images: Vec<Pixels>,
    labels: Vec<u8>,
    order: Vec<Vec<usize>>,
    seen: HashSet<Pixels>,
}

impl Pool {
    fn open(folder: &Path, seed: Seed) -> Result<Self> {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for part in ["train", "t10k"] {
            images.extend(read_images(&folder.join(format!("{part}-images-idx3-ubyte.gz")))?);
            labels.extend(read_labels(&folder.join(format!("{part}-labels-idx1-ubyte.gz")))?);
        }
        ensure!(
            images.len() == labels.len(),
            "the IDX files hold {} images and {} labels",
            images.len(),
            labels.len()
        );
        let order = (0..CLASSES.len())
            .map(|class| {
                let members: Vec<usize> =
                    (0..labels.len()).filter(|&i| usize::from(labels[i]) == class).collect();
                let shuffled = seed.with("draw").with(class).shuffled(members.len());
                shuffled.into_iter().map(|i| members[i]).collect()
            })
            .collect();
        Ok(Self { images, labels, order, seen: HashSet::new() })
    }

    /// The next unseen image of `class`.
    fn next(&mut self, class: usize) -> Result<Pixels> {
        while let Some(index) = self.order[class].pop() {
            let pixels = self.images[index].clone();
            debug_assert_eq!(usize::from(self.labels[index]), class);
            if self.seen.insert(pixels.clone()) {
                return Ok(pixels);
            }
        }
        bail!("class `{}` has no image left", CLASSES[class].0)
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(idx), Some(out)) = (arguments.next(), arguments.next()) else {
        bail!("usage: sample_data IDX_FOLDER OUT_FOLDER [SEED]");
    };
    let seed = Seed(arguments.next().map_or(Ok(17), |text| text.parse())?).with("sample_data");
    let mut pool = Pool::open(Path::new(&idx), seed)?;

    let mut entries = Vec::new();
    for (class, (_, count)) in CLASSES.iter().enumerate() {
        for _ in 0..*count {
            let pixels = pool.next(class)?;
            entries.push(Entry { folder: class, bytes: png(&pixels)?, planted: None, natural: Some(pixels) });
        }
    }
    plant_unreadable(&mut entries, &mut pool, seed)?;
    plant_copies(&mut entries, seed)?;
    plant_flipped_labels(&mut entries, &mut pool, seed)?;
    plant_bad_light(&mut entries, &mut pool, seed)?;
    write(&entries, Path::new(&out), seed)
}

/// Truncated files, files of zero bytes, and text under an image's name.
fn plant_unreadable(entries: &mut Vec<Entry>, pool: &mut Pool, seed: Seed) -> Result<()> {
    let mut draws = seed.with("unreadable").draws();
    for percent in [12, 35, 55, 70, 85, 94, 100] {
        let class = draws.below(CLASSES.len());
        let mut bytes = png(&pool.next(class)?)?;
        // The last one loses only the closing chunk and a part of the checksum before it.
        let kept = if percent == 100 { bytes.len() - 14 } else { bytes.len() * percent / 100 };
        let note = format!("{kept} of {} bytes left", bytes.len());
        bytes.truncate(kept);
        push(entries, class, bytes, "truncated", None, Some(class), note);
    }
    for _ in 0..5 {
        let class = draws.below(CLASSES.len());
        push(entries, class, Vec::new(), "zero_byte", None, None, "an empty file".to_owned());
    }
    for text in TEXTS {
        let class = draws.below(CLASSES.len());
        push(
            entries,
            class,
            text.as_bytes().to_vec(),
            "text",
            None,
            None,
            "text under an image's name".to_owned(),
        );
    }
    Ok(())
}

/// Exact duplicates, near duplicates, and one picture in two classes.
fn plant_copies(entries: &mut Vec<Entry>, seed: Seed) -> Result<()> {
    let mut draws = seed.with("copies").draws();
    for n in 0..12 {
        let of = take_natural(entries, &mut draws)?.0;
        // Every sixth picture is there three times.
        for _ in 0..=usize::from(n % 6 == 5) {
            let (folder, bytes) = (entries[of].folder, entries[of].bytes.clone());
            push(
                entries,
                folder,
                bytes,
                "exact_duplicate",
                Some(of),
                Some(folder),
                "the same bytes".to_owned(),
            );
        }
    }
    for n in 0..16 {
        let (of, pixels) = take_natural(entries, &mut draws)?;
        let folder = entries[of].folder;
        let (pixels, note) = match n % 4 {
            0 => (shifted(&pixels, 1, 0), "shifted by one pixel to the right"),
            1 => (pixels.iter().map(|&p| percent(p, 85)).collect(), "brightness 85 %"),
            2 => (jpeg_round_trip(&pixels, 60)?, "through JPEG at quality 60"),
            _ => (
                shifted(&pixels, 0, 1).iter().map(|&p| percent(p, 94)).collect(),
                "shifted down and brightness 94 %",
            ),
        };
        push(entries, folder, png(&pixels)?, "near_duplicate", Some(of), Some(folder), note.to_owned());
    }
    for _ in 0..8 {
        let of = take_natural(entries, &mut draws)?.0;
        let (class, bytes) = (entries[of].folder, entries[of].bytes.clone());
        let folder = other_class(class, &mut draws);
        let note = format!("the same bytes lie in {} and there they are right", CLASSES[class].0);
        push(entries, folder, bytes, "contradictory_duplicate", Some(of), Some(class), note);
    }
    Ok(())
}

/// Images in a class that they do not belong to.
fn plant_flipped_labels(entries: &mut Vec<Entry>, pool: &mut Pool, seed: Seed) -> Result<()> {
    let mut draws = seed.with("flipped").draws();
    for n in 0..30 {
        let (class, folder) = if n % 2 == 0 {
            let (a, b) = CONFUSABLE[draws.below(CONFUSABLE.len())];
            if draws.chance(0.5) { (a, b) } else { (b, a) }
        } else {
            let class = draws.below(CLASSES.len());
            (class, other_class(class, &mut draws))
        };
        let bytes = png(&pool.next(class)?)?;
        push(entries, folder, bytes, "flipped_label", None, Some(class), String::new());
    }
    Ok(())
}

/// Dark, overexposed, blurred and blank images.
fn plant_bad_light(entries: &mut Vec<Entry>, pool: &mut Pool, seed: Seed) -> Result<()> {
    let mut draws = seed.with("light").draws();
    for kept in [3, 4, 4, 5, 5, 6, 6, 7] {
        let class = draws.below(CLASSES.len());
        let pixels: Pixels = pool.next(class)?.iter().map(|&p| percent(p, kept)).collect();
        push(entries, class, png(&pixels)?, "dark", None, Some(class), format!("brightness {kept} %"));
    }
    for kept in [3, 4, 5, 6, 7] {
        let class = draws.below(CLASSES.len());
        let pixels: Pixels = pool.next(class)?.iter().map(|&p| 255 - percent(255 - p, kept)).collect();
        push(
            entries,
            class,
            png(&pixels)?,
            "bright",
            None,
            Some(class),
            format!("{kept} % of the contrast below white"),
        );
    }
    for passes in [10, 12, 14, 16, 18, 20, 24, 28] {
        let class = draws.below(CLASSES.len());
        let pixels = blurred(&pool.next(class)?, passes);
        push(
            entries,
            class,
            png(&pixels)?,
            "blurred",
            None,
            Some(class),
            format!("{passes} passes of a 1-2-1 filter"),
        );
    }
    // A value each, so that no two of them are duplicates as well.
    for value in [0, 255, 17, 64, 128, 190, 238] {
        let class = draws.below(CLASSES.len());
        push(
            entries,
            class,
            png(&vec![value; SIDE * SIDE])?,
            "blank",
            None,
            None,
            format!("every pixel is {value}"),
        );
    }
    Ok(())
}

fn push(
    entries: &mut Vec<Entry>,
    folder: usize,
    bytes: Vec<u8>,
    flaw: &'static str,
    of: Option<usize>,
    true_label: Option<usize>,
    note: String,
) {
    entries.push(Entry {
        folder,
        bytes,
        planted: Some(Planted { flaw, of, true_label, note }),
        natural: None,
    });
}

/// A natural entry that nothing was copied from yet, with its pixels.
fn take_natural(entries: &mut [Entry], draws: &mut Draws) -> Result<(usize, Pixels)> {
    for _ in 0..10_000 {
        let index = draws.below(entries.len());
        if let Some(pixels) = entries[index].natural.take() {
            return Ok((index, pixels));
        }
    }
    bail!("no natural image is left to copy")
}

fn other_class(class: usize, draws: &mut Draws) -> usize {
    (class + 1 + draws.below(CLASSES.len() - 1)) % CLASSES.len()
}

/// Shuffles every folder, numbers its files, and writes them and the truth file.
fn write(entries: &[Entry], out: &Path, seed: Seed) -> Result<()> {
    let mut paths = vec![String::new(); entries.len()];
    for (class, (name, _)) in CLASSES.iter().enumerate() {
        let members: Vec<usize> = (0..entries.len()).filter(|&i| entries[i].folder == class).collect();
        for (number, place) in seed.with("names").with(class).shuffled(members.len()).into_iter().enumerate()
        {
            paths[members[place]] = format!("{name}/{:04}.png", number + 1);
        }
        let folder = out.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("could not empty `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    }
    let mut rows = Vec::new();
    for (entry, path) in entries.iter().zip(&paths) {
        fs::write(out.join(path), &entry.bytes).with_context(|| format!("could not write `{path}`"))?;
        if let Some(Planted { flaw, of, true_label, note }) = &entry.planted {
            let of = of.map_or("", |of| paths[of].as_str());
            let true_label = true_label.map_or("", |label| CLASSES[label].0);
            rows.push(format!("{path},{flaw},{of},{true_label},{note}\n"));
        }
    }
    rows.sort();
    let truth = format!("path,flaw,of,true_label,note\n{}", rows.concat());
    let name = out.with_extension("truth.csv");
    fs::write(&name, truth).with_context(|| format!("could not write `{}`", name.display()))?;
    let bytes: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    writeln!(
        std::io::stdout(),
        "{}: {} files, {bytes} bytes, {} of them planted (see {})",
        out.display(),
        entries.len(),
        rows.len(),
        name.display()
    )?;
    Ok(())
}

fn png(pixels: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive).write_image(
        pixels,
        SIDE as u32,
        SIDE as u32,
        ExtendedColorType::L8,
    )?;
    Ok(bytes)
}

fn jpeg_round_trip(pixels: &[u8], quality: u8) -> Result<Pixels> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode(
        pixels,
        SIDE as u32,
        SIDE as u32,
        ExtendedColorType::L8,
    )?;
    Ok(image::load_from_memory(&bytes)?.into_luma8().into_raw())
}

fn percent(pixel: u8, percent: u32) -> u8 {
    ((u32::from(pixel) * percent + 50) / 100).min(255) as u8
}

/// The picture moved right by `dx` and down by `dy` pixels; what comes in is black.
fn shifted(pixels: &[u8], dx: usize, dy: usize) -> Pixels {
    let mut moved = vec![0; pixels.len()];
    for y in dy..SIDE {
        for x in dx..SIDE {
            moved[y * SIDE + x] = pixels[(y - dy) * SIDE + x - dx];
        }
    }
    moved
}

/// `passes` passes of the 1-2-1 filter along both axes; the border repeats.
fn blurred(pixels: &[u8], passes: usize) -> Pixels {
    let at = |p: &[u8], x: usize, y: usize| u32::from(p[y * SIDE + x]);
    let last = SIDE - 1;
    let mut picture = pixels.to_vec();
    for _ in 0..passes {
        for across in [true, false] {
            let before = picture.clone();
            for y in 0..SIDE {
                for x in 0..SIDE {
                    let (one, other) = if across {
                        (at(&before, x.saturating_sub(1), y), at(&before, (x + 1).min(last), y))
                    } else {
                        (at(&before, x, y.saturating_sub(1)), at(&before, x, (y + 1).min(last)))
                    };
                    picture[y * SIDE + x] = ((one + 2 * at(&before, x, y) + other + 2) / 4) as u8;
                }
            }
        }
    }
    picture
}

/// Reads a gzipped IDX file of the given magic number: its sizes and its bytes.
fn read_idx(path: &Path, magic: u32, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let file = fs::File::open(path)
        .with_context(|| format!("could not open `{}` (get it with `make sample-data`)", path.display()))?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .with_context(|| format!("could not unpack `{}`", path.display()))?;
    let word = |i: usize| -> Result<u32> {
        let word = bytes.get(4 * i..4 * i + 4).context("the IDX header is cut off")?;
        Ok(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
    };
    ensure!(word(0)? == magic, "`{}` is not the IDX file that was expected", path.display());
    let sizes = (1..=dimensions).map(|i| Ok(word(i)? as usize)).collect::<Result<Vec<usize>>>()?;
    let body = bytes.split_off(4 * (1 + dimensions));
    ensure!(
        body.len() == sizes.iter().product::<usize>(),
        "`{}` has a body of {} bytes",
        path.display(),
        body.len()
    );
    Ok((sizes, body))
}

fn read_images(path: &Path) -> Result<Vec<Pixels>> {
    let (sizes, body) = read_idx(path, 0x0803, 3)?;
    ensure!(sizes[1] == SIDE && sizes[2] == SIDE, "images of {} x {} pixels", sizes[2], sizes[1]);
    Ok(body.chunks_exact(SIDE * SIDE).map(<[u8]>::to_vec).collect())
}

fn read_labels(path: &Path) -> Result<Vec<u8>> {
    let (_, labels) = read_idx(path, 0x0801, 1)?;
    ensure!(
        labels.iter().all(|&label| usize::from(label) < CLASSES.len()),
        "a label above 9 in `{}`",
        path.display()
    );
    Ok(labels)
}
