//! What functions may use besides their arguments: the clock, random bytes, time zones, and a share of work.

use super::{Call, Function, Outcome};
use crate::facts::Facts;
use crate::pattern::Pattern;
use crate::template::failure::Failure;
use crate::template::value::{self, Value};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

/// How much work one rendering may take: a step costs [`STEP`], a call the weight of its arguments and of its
/// result. That is also about the most memory it can come to hold. All of it takes some tenths of a second.
const WORK: usize = 32 << 20;
/// What a step costs: an action, a turn of a loop.
const STEP: usize = 16;

/// How many patterns are kept; beyond that, the last one makes room.
const KEPT_PATTERNS: usize = 32;
/// How many random bytes are asked for at once.
const RANDOM_STORE: usize = 512;

/// The surroundings of one rendering.
pub(in crate::template) struct Environment<'f> {
    facts: &'f Facts<'f>,
    work: Cell<usize>,
    /// Random bytes that are not used yet.
    random: RefCell<Vec<[u8; 8]>>,
    /// The patterns that this rendering has used.
    patterns: RefCell<Vec<(Rc<str>, Pattern)>>,
}

impl<'f> Environment<'f> {
    pub(in crate::template) fn new(facts: &'f Facts<'f>) -> Self {
        Self { facts, work: Cell::new(WORK), random: RefCell::default(), patterns: RefCell::default() }
    }

    /// Takes a share of the work that is left.
    pub(in crate::template) fn spend(&self, work: usize) -> Result<(), Failure> {
        let left = self.work.get().checked_sub(work);
        self.work.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or_else(|| "the template takes too much work".into())
    }

    /// Takes a step.
    pub(in crate::template) fn step(&self) -> Result<(), Failure> {
        self.spend(STEP)
    }

    /// Calls a function. All arguments are light and flat enough to be walked.
    pub(in crate::template) fn call(&self, function: &Function, arguments: &[Value]) -> Outcome {
        for argument in arguments {
            self.spend(value::weigh(argument)?)?;
        }
        let result = (function.call)(&Call::new(self, function, arguments))?;
        self.spend(value::weigh(&result)?)?;
        Ok(result)
    }

    /// The time.
    pub(super) fn now(&self) -> SystemTime {
        self.facts.now()
    }

    /// A time zone file of the root: `Local` or a name like `Europe/Berlin`.
    pub(super) fn zone_file(&self, name: &str) -> Option<Vec<u8>> {
        self.facts.zone_file(name)
    }

    /// Fills a buffer with random bytes.
    pub(super) fn random(&self, buffer: &mut [u8]) {
        self.facts.random(buffer);
    }

    /// A random number below `limit`, which must not be 0; each is as likely as the others.
    pub(super) fn random_below(&self, limit: u64) -> Result<u64, Failure> {
        // Numbers above the last multiple of the limit would favour the small ones.
        let usable = u64::MAX - u64::MAX % limit;
        loop {
            let number = u64::from_le_bytes(self.random_bytes()?);
            if number < usable {
                return Ok(number % limit);
            }
        }
    }

    /// Eight bytes out of a store, since to ask the kernel for each number would take most of the time.
    fn random_bytes(&self) -> Result<[u8; 8], Failure> {
        let mut store = self.random.borrow_mut();
        if store.is_empty() {
            self.spend(RANDOM_STORE)?;
            let mut bytes = [0; RANDOM_STORE];
            self.random(&mut bytes);
            *store = bytes.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok()).collect();
        }
        store.pop().ok_or_else(|| "there are no random numbers".into())
    }

    /// A compiled pattern. The first use of each in a rendering is work.
    pub(super) fn pattern(&self, text: &Rc<str>) -> Result<Pattern, Failure> {
        let mut patterns = self.patterns.borrow_mut();
        if let Some((_, known)) = patterns.iter().find(|(known, _)| known == text) {
            return Ok(known.clone());
        }
        let pattern =
            Pattern::new(text).map_err(|error| format!("the regular expression is invalid: {error}"))?;
        self.spend(10_000 + pattern.weight() * 64)?;
        patterns.truncate(KEPT_PATTERNS - 1);
        patterns.push((text.clone(), pattern.clone()));
        Ok(pattern)
    }
}
