//! Memory that LibTorch frees stays with the process: the next step wants as much again, and pages that went
//! back to the system are cleared before they come again (a tenth of a step's time).

/// Tells the system's allocator, once. At most the memory that was in use at once is kept.
pub(super) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static TOLD: std::sync::Once = std::sync::Once::new();
        TOLD.call_once(|| {
            // The largest threshold that glibc takes.
            const MAPPED: libc::c_int = 32 << 20;
            // SAFETY: sets two numbers of the allocator, under its own lock.
            unsafe {
                libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
                libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            }
        });
    }
}
