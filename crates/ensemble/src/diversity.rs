//! How much members differ: the share of images on which two of them name different classes
//! (Kuncheva and Whitaker 2003, the disagreement measure on predicted classes).
//!
//! Needs no labels, so it may look at any split.

use crate::members::{Members, top};

/// The disagreement of each pair of members, symmetric with zeros on the diagonal: [m][m] in [0, 1].
pub fn disagreement(members: Members) -> Vec<Vec<f64>> {
    let (m, n) = (members.len(), members.images());
    let named: Vec<Vec<usize>> = (0..m).map(|j| (0..n).map(|i| top(members.row(j, i))).collect()).collect();
    let differ = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(x, y)| x != y).count() as f64 / n as f64;
    named.iter().map(|a| named.iter().map(|b| differ(a, b)).collect()).collect()
}

/// The mean over all pairs; 0 for a single member.
pub fn mean_disagreement(pairs: &[Vec<f64>]) -> f64 {
    let m = pairs.len();
    if m < 2 {
        return 0.0;
    }
    let upper: f64 = (0..m).flat_map(|a| (a + 1..m).map(move |b| pairs[a][b])).sum();
    upper / (m * (m - 1) / 2) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::tests::member;

    #[test]
    fn disagreement_is_the_share_of_images_named_differently() {
        let all = [
            member("a", &[0, 1, 0, 1], &[&[0.9, 0.1], &[0.1, 0.9], &[0.9, 0.1], &[0.1, 0.9]]),
            member("b", &[0, 1, 0, 1], &[&[0.9, 0.1], &[0.9, 0.1], &[0.9, 0.1], &[0.1, 0.9]]),
            member("c", &[0, 1, 0, 1], &[&[0.1, 0.9], &[0.9, 0.1], &[0.1, 0.9], &[0.9, 0.1]]),
        ];
        let pairs = disagreement(Members::check(&all, "predictions").unwrap());
        assert_eq!(pairs, [vec![0.0, 0.25, 1.0], vec![0.25, 0.0, 0.75], vec![1.0, 0.75, 0.0]]);
        assert!((mean_disagreement(&pairs) - 2.0 / 3.0).abs() < 1e-12);
    }
}
