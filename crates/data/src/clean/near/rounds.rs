//! Which of many images are kept when near duplicates go.

use super::{Near, NearPair, NearParams, Search, Small, is_near};

/// For each image, the image that is kept instead of it, none for those that are kept. `images` come
/// from the most to the least worth keeping. Each is compared with kept ones, so that a chain of small
/// steps doesn't join images that differ.
///
/// An image is compared with a limited number of others only; when some of those go, others may take
/// their places; and among far fewer images, looser look-alikes are found. So those that have more
/// look-alikes, or all, ask again among the kept ones, until none goes: searching what is kept once more, as
/// a second `clean` does, finds nothing. An image whose kept one went in a later round is one more step from
/// the image that is kept.
pub fn near_duplicates(images: &[Small], params: &NearParams) -> Vec<Option<Near>> {
    let mut result: Vec<Option<Near>> = vec![None; images.len()];
    let mut kept: Vec<usize> = (0..images.len()).collect();
    let mut asking = kept.clone();
    while !asking.is_empty() {
        let search = Search::new(images, &kept, &asking, params);
        round(&search, &mut result);
        let left: Vec<usize> = kept.iter().copied().filter(|&image| result[image].is_none()).collect();
        asking = if left.len() == kept.len() {
            Vec::new()
        } else if search.finds_what_one_of(left.len()) {
            search.limited.iter().copied().filter(|&image| result[image].is_none()).collect()
        } else {
            left.clone()
        };
        kept = left;
    }
    for image in 0..result.len() {
        let Some(mut near) = result[image] else { continue };
        while let Some(next) = result[near.of] {
            near.of = next.of;
        }
        result[image] = Some(near);
    }
    result
}

/// Removes what is like a kept image.
fn round(search: &Search, result: &mut [Option<Near>]) {
    let mut matches: Vec<Vec<NearPair>> = vec![Vec::new(); result.len()];
    for pair in search.pairs() {
        matches[pair.second].push(pair);
    }
    for &image in search.among {
        let matches = &matches[image];
        let more =
            |a: &&NearPair, b: &&NearPair| a.evidence.total_cmp(&b.evidence).then(b.first.cmp(&a.first));
        let kept = matches.iter().filter(|pair| result[pair.first].is_none());
        let mut best = kept.max_by(more).copied();
        if best.is_none() {
            // What is like a removed image may be like the one that is kept instead.
            let mut instead: Vec<usize> = matches.iter().filter_map(|p| Some(result[p.first]?.of)).collect();
            instead.sort_unstable();
            instead.dedup();
            best = instead.into_iter().find_map(|kept| search.compare(kept, image).filter(is_near));
        }
        result[image] = best.map(|pair| Near {
            of: pair.first,
            similarity: pair.similarity,
            turned: pair.turned,
            cut: pair.cut,
        });
    }
}
