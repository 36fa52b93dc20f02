//! Counts allocations, for each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The system's allocator, which counts from [`begin`] on.
pub struct Counting;

/// Threads that are told apart; all beyond share the last place.
const THREADS: usize = 64;
static COUNTS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
static IDS: [AtomicU32; THREADS] = [const { AtomicU32::new(0) }; THREADS];
static NEXT: AtomicU32 = AtomicU32::new(0);
static COUNTS_NOW: AtomicBool = AtomicBool::new(false);

thread_local! {
    static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Counts from now on.
pub fn begin() {
    COUNTS_NOW.store(true, Ordering::Relaxed);
}

/// Allocations of each thread that made any, with the thread's name.
pub fn by_thread() -> Vec<(String, u64)> {
    let places = (NEXT.load(Ordering::Relaxed) as usize).min(THREADS);
    (0..places)
        .map(|place| {
            let id = IDS[place].load(Ordering::Relaxed);
            let name = std::fs::read_to_string(format!("/proc/self/task/{id}/comm"));
            let name = name.map_or_else(|_| format!("{id}, which has ended"), |name| name.trim().to_owned());
            (name, COUNTS[place].load(Ordering::Relaxed))
        })
        .collect()
}

fn note() {
    if !COUNTS_NOW.load(Ordering::Relaxed) {
        return;
    }
    // A thread that is ending has no place any more.
    let place = PLACE.try_with(|place| match place.get() {
        Some(taken) => taken,
        None => {
            let taken = (NEXT.fetch_add(1, Ordering::Relaxed) as usize).min(THREADS - 1);
            // SAFETY: the call has no arguments and cannot fail.
            let id = unsafe { libc::gettid() };
            IDS[taken].store(id as u32, Ordering::Relaxed);
            place.set(Some(taken));
            taken
        }
    });
    COUNTS[place.unwrap_or(THREADS - 1)].fetch_add(1, Ordering::Relaxed);
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps the promises of this trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps the promises of this trait.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller keeps the promises of this trait.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of this trait.
        unsafe { System.dealloc(memory, layout) }
    }
}
