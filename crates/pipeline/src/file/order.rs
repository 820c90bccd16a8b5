//! The order in which stages can run: topological, ties in the file's order; cycles are found.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The order, or cycles, each as positions where every stage is read by the one before it.
pub(super) fn order(upstream: &[Vec<usize>]) -> Result<Vec<usize>, Vec<Vec<usize>>> {
    let mut waits: Vec<usize> = upstream.iter().map(Vec::len).collect();
    let mut downstream: Vec<Vec<usize>> = vec![Vec::new(); upstream.len()];
    for (reader, makers) in upstream.iter().enumerate() {
        for &maker in makers {
            downstream[maker].push(reader);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..upstream.len()).filter(|&stage| waits[stage] == 0).map(Reverse).collect();
    let mut done = vec![false; upstream.len()];
    let mut order = Vec::with_capacity(upstream.len());
    while let Some(Reverse(stage)) = ready.pop() {
        done[stage] = true;
        order.push(stage);
        for &reader in &downstream[stage] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    if order.len() == upstream.len() { Ok(order) } else { Err(cycles(upstream, &done)) }
}

/// Cycles among the stages that are not `done`, no two with a stage in common.
fn cycles(upstream: &[Vec<usize>], done: &[bool]) -> Vec<Vec<usize>> {
    let mut visited = done.to_vec();
    let mut on_walk = vec![false; upstream.len()];
    let mut in_cycle = vec![false; upstream.len()];
    let mut cycles = Vec::new();
    for start in 0..upstream.len() {
        // A depth-first walk up; each step is a stage and how many of its makers were looked at.
        let mut walk: Vec<(usize, usize)> = Vec::new();
        if !std::mem::replace(&mut visited[start], true) {
            on_walk[start] = true;
            walk.push((start, 0));
        }
        while let Some((stage, looked_at)) = walk.last_mut() {
            let Some(&maker) = upstream[*stage].get(*looked_at) else {
                on_walk[*stage] = false;
                walk.pop();
                continue;
            };
            *looked_at += 1;
            if on_walk[maker] {
                let from = walk.iter().position(|(stage, _)| *stage == maker).unwrap_or(0);
                let cycle: Vec<usize> = walk[from..].iter().map(|(stage, _)| *stage).collect();
                if !cycle.iter().any(|&stage| in_cycle[stage]) {
                    for &stage in &cycle {
                        in_cycle[stage] = true;
                    }
                    cycles.push(cycle);
                }
            } else if !std::mem::replace(&mut visited[maker], true) {
                on_walk[maker] = true;
                walk.push((maker, 0));
            }
        }
    }
    cycles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_in_the_order_of_the_file() {
        assert_eq!(order(&[vec![], vec![], vec![0]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[vec![2], vec![], vec![], vec![1]]), Ok(vec![1, 2, 0, 3]));
    }

    #[test]
    fn every_separate_cycle_is_found_also_behind_a_dead_end() {
        assert_eq!(order(&[vec![0]]), Err(vec![vec![0]]));
        // 0 reads 1 (a dead end) and 2, which reads 0; 3 and 4 read each other.
        let upstream = [vec![1, 2], vec![], vec![0], vec![4], vec![3]];
        assert_eq!(order(&upstream), Err(vec![vec![0, 2], vec![3, 4]]));
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_needs_no_stack() {
        let upstream: Vec<Vec<usize>> =
            (0..100_000_usize).map(|i| i.checked_sub(1).into_iter().collect()).collect();
        assert_eq!(order(&upstream).map(|order| order.len()), Ok(100_000));
        let ring: Vec<Vec<usize>> = (0..100_000_usize).map(|i| vec![(i + 1) % 100_000]).collect();
        assert_eq!(order(&ring).map_err(|cycles| cycles[0].len()), Err(100_000));
    }
}
