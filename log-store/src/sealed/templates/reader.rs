//! Reading texts of a column of templates.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::super::dictionary::{Planes, read_planes};
use super::super::read::read_texts;
use super::super::section::ReadSections;
use super::Templates;
use super::set::TemplateSet;
use super::values::SlotValues;
use crate::values::{Arena, Raw};

/// Below so many texts of a block, each is found by itself.
const FEW: usize = 48;

/// A column of templates, opened.
pub(crate) struct TemplateReader<'a> {
    pub layout: &'a Templates,
    pub set: Arc<TemplateSet>,
    /// Values of the column.
    pub count: usize,
    pub file: &'a dyn ReadSections,
    planes: OnceCell<Planes>,
    sections: RefCell<HashMap<u32, Rc<Vec<u8>>>>,
}

/// A text's template, and its number among the template's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub template: u32,
    pub local: u32,
}

impl<'a> TemplateReader<'a> {
    pub fn open(layout: &'a Templates, count: usize, file: &'a dyn ReadSections) -> Result<TemplateReader<'a>, String> {
        let set = file.templates(&layout.dictionary)?;
        let rows: u64 = set.templates.iter().map(|template| u64::from(template.rows)).sum();
        if rows != count as u64 {
            return Err("templates of another number of texts".to_owned());
        }
        Ok(TemplateReader { layout, set, count, file, planes: OnceCell::new(), sections: RefCell::default() })
    }

    /// The template of each text.
    pub fn planes(&self) -> Result<&Planes, String> {
        if let Some(planes) = self.planes.get() {
            return Ok(planes);
        }
        let planes = read_planes(&self.layout.planes, self.count, self.file)?;
        Ok(self.planes.get_or_init(|| planes))
    }

    /// The values of a variable, by its number among all slots; `rows` are those of its template.
    pub fn values(&self, slot: u32, rows: u32) -> Result<SlotValues<'_>, String> {
        let of_set = self.set.slots.get(slot as usize).ok_or("a variable is missing")?;
        SlotValues::read(of_set, &self.set, rows as usize, |group| self.section(group))
    }

    fn section(&self, group: u32) -> Result<Rc<Vec<u8>>, String> {
        if let Some(section) = self.sections.borrow().get(&group) {
            return Ok(Rc::clone(section));
        }
        let section = self.layout.groups.get(group as usize).ok_or("a section of values is missing")?;
        let section = Rc::new(self.file.section(section)?);
        self.sections.borrow_mut().insert(group, Rc::clone(&section));
        Ok(section)
    }

    /// Where texts (ascending) stand.
    fn spots(&self, indexes: &[u32]) -> Result<Vec<Spot>, String> {
        let planes = self.planes()?;
        let mut spots = Vec::with_capacity(indexes.len());
        if indexes.len() < FEW {
            for index in indexes {
                let template = planes.id(*index as usize);
                let mut wanted = vec![false; self.set.templates.len()];
                *wanted.get_mut(template).ok_or("an id beyond its templates")? = true;
                let local = planes.find(&wanted).count_range(0..*index as usize);
                spots.push(Spot { template: template as u32, local: local as u32 });
            }
            return Ok(spots);
        }
        let mut next = vec![0u32; self.set.templates.len()];
        let mut wanted = indexes.iter().peekable();
        for (index, template) in planes.ids().into_iter().enumerate() {
            let local = next.get_mut(usize::from(template)).ok_or("an id beyond its templates")?;
            if wanted.next_if(|wanted| **wanted as usize == index).is_some() {
                spots.push(Spot { template: u32::from(template), local: *local });
            }
            *local += 1;
        }
        Ok(spots)
    }

    /// Calls `visit` with each of some texts (ascending).
    pub fn each_text(&self, indexes: &[u32], mut visit: impl FnMut(u32, &[u8])) -> Result<(), String> {
        let spots = self.spots(indexes)?;
        let plain = self.plain_texts(&spots)?;
        let mut plain = (0..plain.len()).map(|at| plain.get(at));
        let mut values: Vec<Option<SlotValues<'_>>> = Vec::new();
        values.resize_with(self.set.slots.len(), || None);
        let mut text = Vec::new();
        for (index, spot) in indexes.iter().zip(spots) {
            let template = self.set.templates.get(spot.template as usize).ok_or("a template is missing")?;
            if template.is_plain {
                visit(*index, plain.next().ok_or("a text is missing")?.bytes());
                continue;
            }
            if spot.local >= template.rows {
                return Err("more texts of a template than it has".to_owned());
            }
            text.clear();
            let mut slots = template.slots.clone();
            for piece in self.set.pieces(template) {
                text.extend_from_slice(piece);
                let Some(slot) = slots.next() else { continue };
                let have = values.get_mut(slot as usize).ok_or("a variable is missing")?;
                let have = match have {
                    Some(have) => have,
                    None => have.insert(self.values(slot, template.rows)?),
                };
                if !have.put(spot.local as usize, &mut text) {
                    return Err("a value of a variable is missing".to_owned());
                }
            }
            visit(*index, &text);
        }
        Ok(())
    }

    /// The texts of no template among those wanted.
    fn plain_texts(&self, spots: &[Spot]) -> Result<Arena, String> {
        let is_plain = |spot: &&Spot| self.set.templates.get(spot.template as usize).is_some_and(|t| t.is_plain);
        let wanted: Vec<u32> = spots.iter().filter(is_plain).map(|spot| spot.local).collect();
        let mut found = Arena::default();
        let (mut rest, mut first) = (&wanted[..], 0);
        for page in &self.layout.plain {
            let end = first + page.count;
            let (here, behind) = rest.split_at(rest.partition_point(|index| *index < end));
            if !here.is_empty() {
                let texts = read_texts(page, self.file)?;
                here.iter().for_each(|index| found.push_next(Raw::Text(texts.get((*index - first) as usize))));
            }
            (rest, first) = (behind, end);
        }
        if found.len() == wanted.len() { Ok(found) } else { Err("texts of no template are missing".to_owned()) }
    }
}
