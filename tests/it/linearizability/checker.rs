//! Whether a history of concurrent operations is linearizable: whether every operation can be given one moment between its invocation
//! and its answer, so that one after the other, in the order of these moments, a sequential model gives the answers that were given.
//!
//! It is the search of Wing and Gong with Lowe's memory, as in Porcupine and Knossos: take any operation that no unanswered one must
//! precede, step the model, go on; where nothing fits, go back; and never try a set of operations twice that left the same state. Nothing
//! is sampled and nothing is guessed: where the search would take too long it says so, and nobody may take that for a yes.

use std::collections::HashSet;
use std::hash::Hash;

/// After how many different situations the search gives up.
const SITUATIONS_MAX: usize = 3_000_000;

/// What the operations would do one after the other.
pub trait Model {
    type State: Clone + Eq + Hash;
    type Op: Clone;

    /// Before the first operation.
    fn start(&self) -> Self::State;

    /// The state after the operation with the answer that it had; `None` where it would have had another. One whose answer is not known
    /// only ever takes effect here: that it did not is that it is left out.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// The operation before its answer came; `None` where it changes nothing, so that nobody would miss it.
    fn unanswered(&self, op: &Self::Op) -> Option<Self::Op>;
}

/// An operation and its times, by one monotonic clock.
#[derive(Clone, Debug)]
pub struct Event<O> {
    pub op: O,
    pub invoked: u64,
    /// `None` where the outcome is not known: it may take effect at any time after its invocation, or never.
    pub answered: Option<u64>,
}

/// What the search found.
#[derive(Debug)]
pub enum Verdict {
    /// The operations in an order that explains the history, and in how many different situations the search was.
    Linearizable { order: Vec<usize>, situations: usize },
    /// There is no such order. The longest beginning of one, and what could have come next if its answer had been another.
    Not { order: Vec<usize>, stuck: Vec<usize> },
    /// It was not found out.
    Undecided,
}

impl Verdict {
    pub fn is_linearizable(&self) -> bool {
        assert!(
            !matches!(self, Self::Undecided),
            "the search gave up after {SITUATIONS_MAX} situations: make the history shorter"
        );
        matches!(self, Self::Linearizable { .. })
    }
}

/// Where the search stands: what has happened, and who is left.
struct Search<'a, M: Model> {
    model: &'a M,
    events: &'a [Event<M::Op>],
    /// Those with an answer, and those without, in the order of their invocations.
    answered: Vec<usize>,
    unanswered: Vec<usize>,
    /// Which of all change nothing, whenever they were.
    idle: Vec<bool>,
    /// Everything before this place in `answered` is done.
    first: usize,
    done: Vec<u64>,
    left: usize,
}

/// One step of the search: the operations that it took, and the next ones to try.
struct Frame<S> {
    taken: Vec<usize>,
    options: Vec<(usize, S)>,
}

/// Decides whether the history is linearizable.
pub fn check<M: Model>(model: &M, events: &[Event<M::Op>]) -> Verdict {
    let mut search = Search::new(model, events);
    let mut seen: HashSet<(Box<[u64]>, M::State)> = HashSet::new();
    let mut stack: Vec<Frame<M::State>> = Vec::new();
    let mut furthest = (usize::MAX, Vec::new(), Vec::new());
    let mut next = Some((None, model.start()));
    loop {
        if let Some((op, state)) = next.take() {
            let mut taken = Vec::from_iter(op);
            search.settle(&state, &mut taken);
            let order = || stack.iter().flat_map(|frame| &frame.taken).chain(&taken).copied().collect();
            if search.left == 0 {
                return Verdict::Linearizable { order: order(), situations: seen.len() + 1 };
            }
            if search.left < furthest.0 {
                furthest = (search.left, order(), search.candidates().0);
            }
            if seen.insert((search.done.clone().into(), state.clone())) {
                if seen.len() > SITUATIONS_MAX {
                    return Verdict::Undecided;
                }
                let options = search.options(&state);
                stack.push(Frame { taken, options });
            } else {
                search.undo(&taken);
            }
        }
        let Some(frame) = stack.last_mut() else {
            return Verdict::Not { order: furthest.1, stuck: furthest.2 };
        };
        match frame.options.pop() {
            Some((op, state)) => {
                search.take(op);
                next = Some((Some(op), state));
            }
            None => {
                let frame = stack.pop().unwrap();
                search.undo(&frame.taken);
            }
        }
    }
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, events: &'a [Event<M::Op>]) -> Self {
        let mut order: Vec<usize> = (0..events.len()).collect();
        order.sort_by_key(|index| events[*index].invoked);
        let (answered, unanswered): (Vec<_>, Vec<_>) = order.into_iter().partition(|index| events[*index].answered.is_some());
        let left = answered.len();
        let idle = events.iter().map(|event| model.unanswered(&event.op).is_none()).collect();
        Self { model, events, answered, unanswered, idle, first: 0, done: vec![0; events.len().div_ceil(64)], left }
    }

    fn is_done(&self, op: usize) -> bool {
        self.done[op / 64] >> (op % 64) & 1 == 1
    }

    fn take(&mut self, op: usize) {
        self.done[op / 64] |= 1 << (op % 64);
        self.left -= usize::from(self.events[op].answered.is_some());
        while self.answered.get(self.first).is_some_and(|op| self.is_done(*op)) {
            self.first += 1;
        }
    }

    fn undo(&mut self, taken: &[usize]) {
        for op in taken {
            self.done[op / 64] &= !(1 << (op % 64));
            self.left += usize::from(self.events[*op].answered.is_some());
        }
        let first = self.answered.iter().position(|op| !self.is_done(*op));
        self.first = first.unwrap_or(self.answered.len());
    }

    /// Those that were invoked before any that is left was answered: with an answer, and without.
    fn candidates(&self) -> (Vec<usize>, Vec<usize>) {
        let mut until = u64::MAX;
        let mut answered = Vec::new();
        for op in self.answered.iter().skip(self.first) {
            if self.events[*op].invoked > until {
                break;
            }
            if !self.is_done(*op) {
                until = until.min(self.events[*op].answered.unwrap_or(u64::MAX));
                answered.push(*op);
            }
        }
        let started = self.unanswered.iter().copied().take_while(|op| self.events[*op].invoked <= until);
        let unanswered = started.filter(|op| !self.is_done(*op)).collect();
        (answered, unanswered)
    }

    /// Takes whatever fits here and changes nothing, here or elsewhere. That loses no solution: in any that goes on from here such an
    /// operation can be moved to here, as whatever must precede it is done, and what follows finds the same state.
    fn settle(&mut self, state: &M::State, taken: &mut Vec<usize>) {
        loop {
            let (answered, _) = self.candidates();
            let fits = |op: &usize| self.idle[*op] && self.model.step(state, &self.events[*op].op).is_some();
            let fitting: Vec<usize> = answered.into_iter().filter(fits).collect();
            if fitting.is_empty() {
                return;
            }
            for op in fitting {
                self.take(op);
                taken.push(op);
            }
        }
    }

    /// What may come next, the most promising last: what was answered first, and what nobody had an answer to only if it must be.
    fn options(&self, state: &M::State) -> Vec<(usize, M::State)> {
        let (mut answered, unanswered) = self.candidates();
        answered.sort_by_key(|op| std::cmp::Reverse(self.events[*op].answered));
        let step = |op: usize| Some((op, self.model.step(state, &self.events[op].op)?));
        unanswered.into_iter().rev().chain(answered).filter_map(step).collect()
    }
}

/// The history up to a moment: whoever was not answered by then has no answer.
fn until<M: Model>(model: &M, events: &[Event<M::Op>], moment: u64) -> Vec<Event<M::Op>> {
    let started = events.iter().filter(|event| event.invoked <= moment);
    let cut = started.filter_map(|event| match event.answered {
        Some(answered) if answered <= moment => Some(event.clone()),
        _ => model.unanswered(&event.op).map(|op| Event { op, invoked: event.invoked, answered: None }),
    });
    cut.collect()
}

/// Of a history that is not linearizable, the shortest beginning that is not either, without the operations that changed nothing and
/// that it is not linearizable without. What is left is as wrong: leaving such an operation out can only make a history right.
pub fn minimise<M: Model>(model: &M, events: &[Event<M::Op>]) -> Vec<Event<M::Op>> {
    let wrong = |events: &[Event<M::Op>]| matches!(check(model, events), Verdict::Not { .. });
    let mut moments: Vec<u64> = events.iter().filter_map(|event| event.answered).collect();
    moments.sort_unstable();
    let first = moments.partition_point(|moment| !wrong(&until(model, events, *moment)));
    let mut rest = moments.get(first).map_or_else(|| events.to_vec(), |moment| until(model, events, *moment));
    for index in (0..rest.len()).rev() {
        if model.unanswered(&rest[index].op).is_none() {
            let event = rest.remove(index);
            if !wrong(&rest) {
                rest.insert(index, event);
            }
        }
    }
    rest
}

/// The definition, tried out to the end: every order, with no memory and no short cut.
#[cfg(test)]
fn exhaustive<M: Model>(model: &M, events: &[Event<M::Op>], done: &mut Vec<usize>, state: &M::State) -> bool {
    let left: Vec<usize> = (0..events.len()).filter(|op| !done.contains(op)).collect();
    if left.iter().all(|op| events[*op].answered.is_none()) {
        return true;
    }
    let may_be_next = |op: &usize| left.iter().all(|other| events[*other].answered.is_none_or(|end| events[*op].invoked <= end));
    left.iter().copied().filter(may_be_next).any(|op| {
        model.step(state, &events[op].op).is_some_and(|after| {
            done.push(op);
            let found = exhaustive(model, events, done, &after);
            done.pop();
            found
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::random::Random;

    /// A register of small numbers.
    struct Register;

    #[derive(Clone, Debug)]
    enum Access {
        Read(u64),
        Write(u64),
        Swap(u64, u64, bool),
    }

    impl Model for Register {
        type State = u64;
        type Op = Access;

        fn start(&self) -> u64 {
            0
        }

        fn step(&self, state: &u64, op: &Access) -> Option<u64> {
            match op {
                Access::Read(value) => (value == state).then_some(*state),
                Access::Write(value) => Some(*value),
                Access::Swap(from, to, true) => (from == state).then_some(*to),
                Access::Swap(from, _, false) => (from != state).then_some(*state),
            }
        }

        fn unanswered(&self, op: &Access) -> Option<Access> {
            match op {
                Access::Read(_) | Access::Swap(_, _, false) => None,
                other => Some(other.clone()),
            }
        }
    }

    fn some_history(random: &mut Random) -> Vec<Event<Access>> {
        let event = |random: &mut Random| {
            let invoked = random.below(20);
            let answered = Some(invoked + 1 + random.below(8));
            let (a, b) = (random.below(3), random.below(3));
            let (op, may_be_lost) = match random.below(6) {
                0..=2 => (Access::Read(a), false),
                3 => (Access::Write(a), true),
                4 => (Access::Swap(a, b, true), true),
                _ => (Access::Swap(a, b, false), false),
            };
            Event { op, invoked, answered: answered.filter(|_| !may_be_lost || random.below(4) > 0) }
        };
        (0..3 + random.below(5)).map(|_| event(random)).collect()
    }

    #[test]
    fn the_search_says_of_twenty_thousand_small_histories_what_trying_every_order_says() {
        let mut random = Random::new(1);
        let mut linearizable = 0;
        for _ in 0..20_000 {
            let history = some_history(&mut random);
            let expected = exhaustive(&Register, &history, &mut Vec::new(), &0);
            assert_eq!(check(&Register, &history).is_linearizable(), expected, "{history:?}");
            linearizable += usize::from(expected);
        }
        assert!((2_000..16_000).contains(&linearizable), "{linearizable}");
    }

    #[test]
    fn an_order_that_the_search_gives_is_one() {
        let mut random = Random::new(2);
        for _ in 0..5_000 {
            let history = some_history(&mut random);
            let Verdict::Linearizable { order, .. } = check(&Register, &history) else { continue };
            let mut state = 0;
            for (place, op) in order.iter().enumerate() {
                state = Register.step(&state, &history[*op].op).unwrap();
                assert!(
                    order[place..].iter().all(|later| history[*later].answered.is_none_or(|end| end >= history[*op].invoked))
                );
            }
            let left_out = (0..history.len()).filter(|op| !order.contains(op));
            assert!(left_out.map(|op| &history[op]).all(|event| event.answered.is_none()));
        }
    }

    #[test]
    fn what_is_left_of_a_wrong_history_is_wrong_and_no_read_can_be_left_out_of_it() {
        let mut random = Random::new(3);
        for _ in 0..2_000 {
            let history = some_history(&mut random);
            if check(&Register, &history).is_linearizable() {
                continue;
            }
            let rest = minimise(&Register, &history);
            assert!(!check(&Register, &rest).is_linearizable());
            for index in 0..rest.len() {
                let mut less = rest.clone();
                let event = less.remove(index);
                assert!(Register.unanswered(&event.op).is_some() || check(&Register, &less).is_linearizable());
            }
        }
    }
}
