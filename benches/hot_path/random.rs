//! Chance that is the same every time.

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high bits of a wide product: no division, and no bias that could be seen.
        ((u128::from(self.number()) * bound as u128) >> 64) as usize
    }

    /// A sentence of that many words.
    pub fn sentence(&mut self, words: usize) -> String {
        let words: Vec<&str> = (0..words).map(|_| WORDS[self.below(WORDS.len())]).collect();
        words.join(" ")
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

const WORDS: [&str; 64] = [
    "account",
    "the",
    "order",
    "of",
    "customer",
    "when",
    "shipment",
    "is",
    "currency",
    "in",
    "invoice",
    "at",
    "region",
    "before",
    "delivery",
    "after",
    "amount",
    "converted",
    "daily",
    "rate",
    "source",
    "system",
    "identifier",
    "unique",
    "per",
    "tenant",
    "nullable",
    "since",
    "migration",
    "legacy",
    "warehouse",
    "key",
    "hash",
    "normalised",
    "to",
    "lower",
    "case",
    "timestamp",
    "event",
    "first",
    "seen",
    "by",
    "collector",
    "utc",
    "derived",
    "from",
    "payload",
    "version",
    "schema",
    "owner",
    "team",
    "finance",
    "reporting",
    "do",
    "not",
    "join",
    "on",
    "this",
    "column",
    "deprecated",
    "use",
    "instead",
    "refund",
    "quantity",
];
