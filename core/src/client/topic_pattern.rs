//! A pattern of topic names.
//!
//! Kafka: `KafkaConsumer.subscribe(Pattern)`, `SubscriptionState.matchesSubscribedPattern`: the whole name must match, and topics of
//! Kafka's own never do (`exclude.internal.topics`).
//!
//! Not modelled: what only Java's regular expressions have (look-around, back-references): such a pattern is refused.

use regex::Regex;

use crate::types::TopicName;

const INTERNAL: &[&str] = &["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A regular expression for names of topics.
#[derive(Clone, Debug)]
pub struct TopicPattern {
    written: String,
    whole: Regex,
}

impl TopicPattern {
    /// Reads one. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<TopicPattern, String> {
        // By itself first: brackets that do not pair must not find a partner in what is put around them.
        Regex::new(text).map_err(|error| error.to_string())?;
        let whole = Regex::new(&format!("^(?:{text})$")).map_err(|error| error.to_string())?;
        Ok(TopicPattern { written: text.to_owned(), whole })
    }

    /// Whether it matches the whole name.
    pub fn matches(&self, topic: &TopicName) -> bool {
        self.whole.is_match(topic) && !INTERNAL.contains(&topic.as_str())
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for TopicPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        let name = crate::types::TopicPartition::of(topic, 0).topic;
        TopicPattern::parse(pattern).is_ok_and(|pattern| pattern.matches(&name))
    }

    #[test]
    fn a_pattern_matches_whole_names_of_topics_that_are_not_kafkas_own() {
        assert!(matches("orders-.*", "orders-eu"));
        assert!(matches("a|orders", "orders"));
        assert!(!matches("a|order", "orders"), "the whole name");
        assert!(!matches("orders", "my-orders"));
        assert!(!matches(".*", "__consumer_offsets"));
        assert!(TopicPattern::parse("orders-(.*").is_err());
        assert!(TopicPattern::parse("a)|(b").is_err());
        assert!(TopicPattern::parse("(?=look)").is_err());
    }
}
