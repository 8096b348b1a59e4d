//! Whatever is made of texts, they come out again.

use super::super::super::section::{ReadSections, Section, decompress};
use super::super::super::wire;
use super::super::reader::TemplateReader;
use super::*;
use crate::values::{Arena, Raw};
use proptest::prelude::*;

struct InMemory(Vec<u8>);

impl ReadSections for InMemory {
    fn section(&self, section: &Section) -> Result<Vec<u8>, String> {
        let stored = self.stretch(section.offset, section.stored as usize)?;
        match section.raw {
            0 => Ok(stored),
            raw => decompress(&stored, raw as usize).ok_or_else(|| "damaged".to_owned()),
        }
    }

    fn stretch(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
        let at = offset as usize;
        self.0.get(at..at + length).map(<[u8]>::to_vec).ok_or_else(|| "cut short".to_owned())
    }
}

/// Whatever is made of texts, they come out again, all and some.
fn check(texts: &[String]) -> bool {
    let mut arena = Arena::default();
    texts.iter().for_each(|text| arena.push_next(Raw::Text(text.as_bytes())));
    let source = ColumnSource::plain(&arena);
    let mut sections = SectionWriter::default();
    let text = |index: usize| source.get(index).bytes();
    let mut is_mined = false;
    for variables in [Variables::seldom(texts.len(), text), Variables::All] {
        let Some(mined) = mine(texts.len(), text, &variables) else { continue };
        is_mined = true;
        let (templates, _) = Writer::new(&source, &mut sections).write(mined);
        let mut put = Vec::new();
        templates.put(&mut put);
        assert_eq!(Templates::read(&mut wire::Wire::new(&put)), Ok(templates.clone()));
        let file = InMemory(sections.file.clone());
        for step in [1, 97] {
            let reader = TemplateReader::open(&templates, texts.len(), &file).expect("just written");
            let wanted: Vec<u32> = (0..texts.len() as u32).step_by(step).collect();
            let mut found = Vec::new();
            let visit = |index: u32, text: &[u8]| found.push((index, text.to_vec()));
            reader.each_text(&wanted, visit).expect("just written");
            let expected: Vec<(u32, Vec<u8>)> =
                wanted.iter().map(|index| (*index, texts[*index as usize].clone().into_bytes())).collect();
            assert_eq!(found, expected);
        }
    }
    is_mined
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,4}",
        "0[0-9]{3}",
        "[0-9]{17,21}",
        "[0-9a-f]{8}",
        "[0-9A-F]{8}-[0-9a-f]{4}",
        "[a-c]{1,2}",
        "\\PC{0,6}",
        "[\\x00-\\x1f\\x7f-\\u{9f}é語]{0,4}",
        Just(String::new()),
        Just("same".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn texts_of_few_templates_read_back(
        skeletons in prop::collection::vec(prop::collection::vec(prop_oneof!["[a-z]{1,5}", "[ =:.\\x00-]{1,2}", Just("{}".to_owned())], 1..8), 1..5),
        values in prop::collection::vec(value(), 40..400),
        odd in prop::collection::vec("\\PC{0,30}", 0..8),
    ) {
        let mut values = values.iter().cycle();
        let mut texts = Vec::new();
        for number in 0..700 {
            let parts = skeletons[number * number % skeletons.len()].iter();
            texts.push(parts.map(|part| if part == "{}" { values.next().expect("endless").as_str() } else { part }).collect());
        }
        for (number, odd) in odd.iter().enumerate() {
            texts[number * 83] = odd.clone();
        }
        check(&texts);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = super::super::set::TemplateSet::parse(bytes.clone());
        let _ = Templates::read(&mut wire::Wire::new(&bytes));
    }
}

#[test]
fn counters_ids_names_and_huge_lines_read_back() {
    let texts: Vec<String> = (0..3000u64)
        .map(|n| match n % 7 {
            0 => format!("[{:>5}.{:06}] worker {} started", n / 100, n * 331 % 1_000_000, n),
            1 => format!("user {:x} from 10.0.{}.{}:{}", n * 0x9e37_79b9, n % 4, n % 250, 1024 + n * 7 % 60_000),
            2 => format!("trace {:032x} took {}ms", u128::from(n) << 70 | u128::from(n * 77), n % 90),
            3 => format!("{} logged in as {}", ["ann", "bob", "eve"][n as usize % 3], n * n),
            4 => format!("naïve {n} \u{0}\u{1b}[31mred\u{1b}[0m 日本{n}"),
            5 => "same every time".to_owned(),
            _ if n % 700 == 6 => "x1 ".repeat(20_000),
            _ => format!("retry {} of 000{} in 1e{}", n % 5, n % 10, n % 30),
        })
        .collect();
    assert!(check(&texts));
    let words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];
    let texts: Vec<String> = (0..2000usize)
        .map(|n| {
            (0..4 + n % 3).map(|k| words[n.wrapping_mul(2_654_435_761) >> (3 * k) & 7]).collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert!(check(&texts));
}
