//! "Did you mean": the known name that is nearest to a wrong one.

/// Names longer than this are not compared.
const LONGEST: usize = 64;
/// The most names that a help line lists.
const LISTED: usize = 12;

/// The candidate nearest to `name`, if one is near enough to have been meant.
pub(super) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let name = plain(name);
    let allowed = (name.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate.len() > LONGEST || candidate.len().abs_diff(name.len()) > allowed * 4 {
            continue;
        }
        let distance = distance(&name, &plain(candidate));
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A help line: the nearest name, else the known ones.
pub(super) fn help<'a, I>(name: &str, what: &str, candidates: I) -> Option<String>
where
    I: IntoIterator<Item = &'a str>,
    I::IntoIter: Clone,
{
    let candidates = candidates.into_iter();
    if let Some(near) = closest(name, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let mut listed: Vec<String> = candidates.take(LISTED + 1).map(|name| format!("`{name}`")).collect();
    if listed.is_empty() {
        return Some(format!("there are no {what}"));
    }
    if listed.len() > LISTED {
        listed.truncate(LISTED);
        listed.push("…".to_owned());
    }
    Some(format!("{what}: {}", listed.join(", ")))
}

/// The number of insertions, deletions, replacements and swaps of neighbours between two words
/// (Damerau and Levenshtein, optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_word() {
        let known = ["epochs", "batch_size", "learning_rate", "lr", "momentum"];
        assert_eq!(closest("epcohs", known), Some("epochs"));
        assert_eq!(closest("batch-size", known), Some("batch_size"));
        assert_eq!(closest("BatchSize", known), Some("batch_size"));
        assert_eq!(closest("lrr", known), Some("lr"));
        assert_eq!(closest("weights", known), None);
        assert_eq!(closest("", known), None);
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ca", "ac"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
