//! Minimising a smooth function of many variables: L-BFGS (Liu and Nocedal 1989) with a line
//! search for the strong Wolfe conditions by bisection.
//!
//! Deterministic; no randomness, no clock.

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// The largest absolute part of the gradient that counts as zero.
    pub gradient: f64,
    /// Steps at most.
    pub steps: usize,
}

/// A function's value and gradient.
pub type Smooth<'a> = dyn Fn(&[f64]) -> (f64, Vec<f64>) + 'a;

/// What was found.
#[derive(Debug, Clone)]
pub struct Minimum {
    /// Where.
    pub x: Vec<f64>,
    /// The function there.
    pub value: f64,
    /// Steps made.
    pub steps: usize,
    /// Whether the gradient is small enough there.
    pub converged: bool,
}

/// Pairs of changes that stand for the curvature.
const MEMORY: usize = 10;
/// Sufficient decrease and curvature, as Nocedal and Wright 2006 suggest.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn moved(x: &[f64], direction: &[f64], step: f64) -> Vec<f64> {
    x.iter().zip(direction).map(|(x, d)| x + step * d).collect()
}

/// A minimum of `f` from `start` on; `f` gives value and gradient, `tick` can stop with an error.
///
/// # Errors
/// `tick`'s.
pub fn minimise<E>(
    start: Vec<f64>,
    stop: Stop,
    f: &Smooth<'_>,
    tick: &mut dyn FnMut(usize, f64) -> Result<(), E>,
) -> Result<Minimum, E> {
    let mut x = start;
    let (mut value, mut gradient) = f(&x);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for steps in 0..stop.steps {
        tick(steps, value)?;
        if gradient.iter().all(|g| g.abs() <= stop.gradient) {
            return Ok(Minimum { x, value, steps, converged: true });
        }
        let direction = direction(&gradient, &pairs);
        let first = if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt() } else { 1.0 };
        let Some((step, next_value, next)) = search(f, &x, value, &gradient, &direction, first) else {
            // No further in this arithmetic: forget the curvature once, then stop.
            if pairs.is_empty() {
                return Ok(Minimum { x, value, steps, converged: false });
            }
            pairs.clear();
            continue;
        };
        let change: Vec<f64> = direction.iter().map(|d| step * d).collect();
        let turn: Vec<f64> = next.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        x = moved(&x, &direction, step);
        (value, gradient) = (next_value, next);
        if dot(&change, &turn) > 1e-12 * dot(&turn, &turn) {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push((change, turn));
        }
    }
    let converged = gradient.iter().all(|g| g.abs() <= stop.gradient);
    Ok(Minimum { x, value, steps: stop.steps, converged })
}

/// Minus the inverse curvature times the gradient: the two loops.
fn direction(gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (change, turn) in pairs.iter().rev() {
        let alpha = dot(change, &q) / dot(change, turn);
        q.iter_mut().zip(turn).for_each(|(q, t)| *q -= alpha * t);
        alphas.push(alpha);
    }
    if let Some((change, turn)) = pairs.last() {
        let scale = dot(change, turn) / dot(turn, turn);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((change, turn), alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = dot(turn, &q) / dot(change, turn);
        q.iter_mut().zip(change).for_each(|(q, c)| *q += (alpha - beta) * c);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

/// A step along `direction` that meets the strong Wolfe conditions, with the value and gradient
/// behind it; the best that decreases when none is found in time.
fn search(
    f: &Smooth<'_>,
    x: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
    first: f64,
) -> Option<(f64, f64, Vec<f64>)> {
    let slope = dot(gradient, direction);
    if slope >= 0.0 {
        return None;
    }
    let (mut low, mut high, mut step) = (0.0, f64::INFINITY, first);
    let mut best: Option<(f64, f64, Vec<f64>)> = None;
    for _ in 0..40 {
        let (next, next_gradient) = f(&moved(x, direction, step));
        let next_slope = dot(&next_gradient, direction);
        let decreases = next <= value + DECREASE * step * slope;
        if decreases && best.as_ref().is_none_or(|(_, least, _)| next < *least) {
            best = Some((step, next, next_gradient));
        }
        if !decreases || next_slope > CURVATURE * -slope {
            high = step;
        } else if next_slope < CURVATURE * slope {
            low = step;
        } else {
            break;
        }
        step = if high.is_finite() { (low + high) / 2.0 } else { step * 2.0 };
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley in ten dimensions; its minimum is 0 at (1, …, 1).
    fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
        let mut gradient = vec![0.0; x.len()];
        let mut value = 0.0;
        for i in 0..x.len() - 1 {
            let (a, b) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
            value += 100.0 * a * a + b * b;
            gradient[i] += -400.0 * a * x[i] - 2.0 * b;
            gradient[i + 1] += 200.0 * a;
        }
        (value, gradient)
    }

    #[test]
    fn the_valley_of_rosenbrock_is_walked_to_its_end() {
        let stop = Stop { gradient: 1e-9, steps: 500 };
        let mut never = |_: usize, _: f64| Ok::<(), ()>(());
        let minimum = minimise(vec![-1.2; 10], stop, &rosenbrock, &mut never).unwrap();
        assert!(minimum.converged && minimum.steps < 200, "{} steps", minimum.steps);
        assert!(minimum.x.iter().all(|x| (x - 1.0).abs() < 1e-7), "{:?}", minimum.x);
    }

    #[test]
    fn a_tick_stops_it() {
        let stop = Stop { gradient: 1e-9, steps: 500 };
        let mut tick = |steps: usize, _: f64| if steps == 3 { Err("stopped") } else { Ok(()) };
        assert_eq!(minimise(vec![-1.2; 10], stop, &rosenbrock, &mut tick).unwrap_err(), "stopped");
    }
}
