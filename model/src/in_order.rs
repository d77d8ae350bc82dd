//! Things that are added in the order of their numbers, and mostly taken out in it.

use std::collections::VecDeque;

/// What may be left of places whose things were taken out, besides as many as there are things.
const EMPTY_MAX: usize = 16;

/// Things with growing numbers, like requests that wait for answers.
///
/// To add costs next to nothing, to find a few steps, and to take out the oldest moves no other.
/// One taken out of the middle leaves an empty place, which goes when the older ones do, or when
/// there are more such places than things: one that stays for long does not keep memory of all that
/// came later.
#[derive(Clone, Debug)]
pub struct InOrder<T> {
    /// Numbers grow. The first place and the last one are not empty.
    places: VecDeque<(u64, Option<T>)>,
    count: usize,
}

impl<T> InOrder<T> {
    /// Adds a thing.
    ///
    /// # Panics
    /// If its number is not greater than all that are there.
    pub fn insert(&mut self, number: u64, thing: T) {
        let last = self.places.back().map(|(number, _)| *number);
        assert!(last.is_none_or(|last| last < number), "{number} is added after {last:?}");
        self.places.push_back((number, Some(thing)));
        self.count += 1;
    }

    /// The thing with this number.
    pub fn get(&self, number: u64) -> Option<&T> {
        self.places[self.place(number)?].1.as_ref()
    }

    /// The thing with this number.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.place(number)?;
        self.places[place].1.as_mut()
    }

    /// Takes out the thing with this number.
    pub fn remove(&mut self, number: u64) -> Option<T> {
        let place = self.place(number)?;
        let thing = self.places[place].1.take()?;
        self.count -= 1;
        while self.places.front().is_some_and(|(_, thing)| thing.is_none()) {
            self.places.pop_front();
        }
        while self.places.back().is_some_and(|(_, thing)| thing.is_none()) {
            self.places.pop_back();
        }
        if self.places.len() > 2 * self.count + EMPTY_MAX {
            self.places.retain(|(_, thing)| thing.is_some());
        }
        Some(thing)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All, with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.places.iter().filter_map(|(number, thing)| Some((*number, thing.as_ref()?)))
    }

    /// All, in order.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.places.into_iter().filter_map(|(_, thing)| thing)
    }

    fn place(&self, number: u64) -> Option<usize> {
        // Where all numbers are used, and for the oldest thing, this is the place.
        let (first, _) = self.places.front()?;
        let guess = usize::try_from(number.checked_sub(*first)?).ok();
        if let Some(guess) = guess
            && self.places.get(guess).is_some_and(|(other, _)| *other == number)
        {
            return Some(guess);
        }
        self.places.binary_search_by_key(&number, |(number, _)| *number).ok()
    }
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { places: VecDeque::new(), count: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Random;

    #[test]
    fn it_is_a_map() {
        for seed in 0..50 {
            let mut random = Random::from_seed(seed);
            let (mut map, mut in_order) = (BTreeMap::new(), InOrder::default());
            let mut next = 0;
            for _ in 0..2000 {
                match random.below(5) {
                    0 | 1 => {
                        next += 1 + random.below(3) * random.below(2);
                        map.insert(next, next * 7);
                        in_order.insert(next, next * 7);
                    }
                    2 => {
                        let oldest = map.keys().next().copied().unwrap_or(next);
                        assert_eq!(in_order.remove(oldest), map.remove(&oldest));
                    }
                    _ => {
                        let number = random.below(next + 2);
                        assert_eq!(in_order.get(number), map.get(&number));
                        assert_eq!(in_order.get_mut(number), map.get_mut(&number));
                        assert_eq!(in_order.remove(number), map.remove(&number));
                    }
                }
                assert_eq!(in_order.len(), map.len());
                assert_eq!(in_order.is_empty(), map.is_empty());
                assert!(in_order.iter().eq(map.iter().map(|(number, thing)| (*number, thing))));
            }
            assert!(in_order.into_values().eq(map.into_values()));
        }
    }

    #[test]
    fn one_that_stays_keeps_no_memory_of_others() {
        let mut in_order = InOrder::default();
        in_order.insert(0, 0);
        in_order.insert(1, 1);
        for number in 2..10_000 {
            in_order.insert(number, number);
            assert_eq!(in_order.remove(number - 1), Some(number - 1));
            assert!(in_order.places.len() <= 2 * in_order.len() + EMPTY_MAX);
        }
        assert_eq!(in_order.get(0), Some(&0));
    }
}
