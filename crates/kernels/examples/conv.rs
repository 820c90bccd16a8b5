//! How fast convolutions are: `conv INPUTS OUTPUTS KERNEL STRIDE SIDE BATCH [GROUPS [KIND]]`, milliseconds
//! and billions of operations a second of the three passes; KIND 0 to 2 limits vectors (portable,
//! AVX2, AVX-512).
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use peregrine_kernels::simd::Isa;
use peregrine_kernels::{Conv, Epilogue, Maps, Pool};

fn main() {
    let args: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let [inputs, outputs, kernel, stride, side, n] = args[..6] else { panic!("six numbers") };
    let groups = args.get(6).copied().unwrap_or(1);
    if let Some(isa) = args.get(7).and_then(|&kind| Isa::all().get(kind).copied()) {
        isa.limit_to();
    }
    let conv = Conv {
        inputs,
        outputs,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        dilation: [1; 2],
        groups,
    };
    let pool = Arc::new(Pool::default());
    let src = Maps::new(n, side, side, inputs).with_halo(conv.halo([side; 2]));
    let out = conv.output([side; 2]);
    let dst = Maps::new(n, out[0], out[1], outputs).with_halo(conv.gradient_halo([side; 2]));
    let (mut xs, mut ys) = (pool.take(src.len()), pool.zeros(dst.len()));
    xs.fill(0.5);
    let weight = vec![0.01; conv.weights()];
    let (forward, backward) = (conv.pack(&weight, &[], &pool), conv.pack_backward(&weight, &pool));
    let (mut dxs, mut dws) = (pool.zeros(src.len()), vec![0.0; weight.len()]);
    let work = 2.0 * (dst.pixels() * conv.weights()) as f64;
    let time = |name: &str, f: &mut dyn FnMut()| {
        let mut best = f64::INFINITY;
        for _ in 0..15 {
            let start = Instant::now();
            f();
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!("{name:9} {:8.3} ms {:7.1} GFLOP/s", best * 1e3, work / best / 1e9);
    };
    time("forward", &mut || conv.forward((src, &xs), &forward, (dst, &mut ys), &Epilogue::default()));
    time("backward", &mut || conv.backward((dst, &ys), &backward, (src, &mut dxs), false));
    time("gradient", &mut || conv.gradient((src, &xs), (dst, &ys), &mut dws, &pool));
}
