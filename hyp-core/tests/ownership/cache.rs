//! One line of memory and the caches over it, as the set of all states that it may be in.
//!
//! Caches may write back, drop or refill a line at any moment, and the CPU may fetch ahead of execution: a test that
//! looks at the set sees what the worst-timed machine would show.

use std::collections::BTreeSet;

/// A VM in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    pub vmid: u8,
    pub life: u32,
}

/// What a line holds, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Zero,
    /// Written by this VM.
    Secret(Principal),
    /// Loaded by the host for this VM.
    Loaded(Principal),
}

impl Value {
    /// Whether this VM may see it.
    pub fn is_of(self, principal: Principal) -> bool {
        match self {
            Value::Zero => true,
            Value::Secret(by) => by == principal,
            Value::Loaded(target) => target == principal,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cached {
    Absent,
    Clean(Value),
    Dirty(Value),
}

/// All states that a line may be in: memory, data caches (coherent, physically tagged), instruction caches.
#[derive(Clone, Debug)]
pub struct Line {
    states: BTreeSet<(Value, Cached)>,
    fetched: BTreeSet<Value>,
}

impl Line {
    pub fn new(value: Value) -> Self {
        let mut line = Self {
            states: BTreeSet::from([(value, Cached::Absent)]),
            fetched: BTreeSet::new(),
        };
        line.wander();
        line
    }

    /// All that caches may do on their own.
    fn wander(&mut self) {
        loop {
            let mut more = BTreeSet::new();
            for &(memory, cached) in &self.states {
                match cached {
                    Cached::Absent => _ = more.insert((memory, Cached::Clean(memory))),
                    Cached::Clean(_) => _ = more.insert((memory, Cached::Absent)),
                    Cached::Dirty(value) => more.extend([(value, Cached::Clean(value)), (value, Cached::Absent)]),
                }
            }
            let before = self.states.len();
            self.states.extend(more);
            if self.states.len() == before {
                return;
            }
        }
    }

    /// A write through the cache, by the hypervisor.
    pub fn write(&mut self, value: Value) {
        self.states = self
            .states
            .iter()
            .map(|&(memory, _)| (memory, Cached::Dirty(value)))
            .collect();
        self.wander();
    }

    /// Clean and invalidate to the point of coherency.
    pub fn clean(&mut self) {
        let cleaned = |&(memory, cached): &(Value, Cached)| match cached {
            Cached::Dirty(value) => (value, Cached::Absent),
            Cached::Clean(_) | Cached::Absent => (memory, Cached::Absent),
        };
        self.states = self.states.iter().map(cleaned).collect();
        self.wander();
    }

    /// A VM that reaches the line may write to it, with its caches on or off, or not.
    pub fn maybe_write(&mut self, value: Value) {
        let cacheable: Vec<_> = self
            .states
            .iter()
            .map(|&(memory, _)| (memory, Cached::Dirty(value)))
            .collect();
        let uncached: Vec<_> = self.states.iter().map(|&(_, cached)| (value, cached)).collect();
        self.states.extend(cacheable);
        self.states.extend(uncached);
        self.wander();
    }

    /// A VM that reaches the line may execute from it.
    pub fn maybe_fetch(&mut self) {
        let values = self.reads();
        self.fetched.extend(values);
    }

    /// Instruction caches forget it.
    pub fn forget_fetched(&mut self) {
        self.fetched.clear();
    }

    /// What a read with caches on or off may give.
    pub fn reads(&self) -> BTreeSet<Value> {
        let seen = |&(memory, cached): &(Value, Cached)| match cached {
            Cached::Absent => [memory, memory],
            Cached::Clean(value) | Cached::Dirty(value) => [memory, value],
        };
        self.states.iter().flat_map(seen).collect()
    }

    /// What a read or an instruction fetch may give.
    pub fn visible(&self) -> BTreeSet<Value> {
        self.reads().union(&self.fetched).copied().collect()
    }
}
