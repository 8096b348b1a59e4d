//! `hour`, `month` and their kin: parts of the date that a number of seconds since 1970 stands for, UTC.

use watchfire_model::LabelSet;

use crate::ast::Call;
use crate::eval::column::{Column, is_absent, join_same_labels, without_name};
use crate::eval::context::Context;
use crate::eval::limits::EvalError;
use crate::functions::DateFunction;

const DAY_SECONDS: i128 = 86_400;
/// Days from the first of March of the year 0 to 1970; years begin in March here, so that leap days end them.
const DAYS_TO_1970: i128 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const ERA_DAYS: i128 = 146_097;

/// The first of March of the year -292,277,022,400: earlier times are late ones for Go, whose calendar begins there.
const EARLIEST_SECONDS: i64 = -9_223_371_966_579_724_800;

pub(super) fn eval(ctx: &Context, function: DateFunction, call: &Call) -> Result<Vec<Column>, EvalError> {
    let Some(arg) = call.args.first() else {
        let values = ctx.steps.times().map(|at| part(function, at.div_euclid(1000))).collect();
        return Ok(vec![ctx.keep(LabelSet::empty(), values)?]);
    };
    let mut columns = crate::eval::eval_vector(ctx, arg)?;
    if ctx.drop_histograms(&mut columns) {
        columns.retain(Column::has_values);
    }
    for column in &mut columns {
        ctx.guard.tick()?;
        column.labels = without_name(&column.labels);
        for value in column.values.iter_mut().filter(|value| !is_absent(**value)) {
            *value = part(function, whole_seconds(*value));
        }
    }
    join_same_labels(columns)
}

/// The whole number of a value; what is none, or too large, is the smallest there is, as in Prometheus.
fn whole_seconds(value: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
    if fits { value as i64 } else { i64::MIN }
}

fn part(function: DateFunction, seconds: i64) -> f64 {
    let seconds = i128::from(seconds) + if seconds < EARLIEST_SECONDS { 1 << 64 } else { 0 };
    let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let value = match function {
        DateFunction::Hour => second / 3600,
        DateFunction::Minute => second / 60 % 60,
        // 1970 began on a Thursday.
        DateFunction::DayOfWeek => (day + 4).rem_euclid(7),
        DateFunction::DayOfMonth => Date::of(day).day,
        DateFunction::Month => Date::of(day).month,
        DateFunction::Year => Date::of(day).year,
        DateFunction::DayOfYear => {
            let date = Date::of(day);
            (1..date.month).map(|month| days_in(date.year, month)).sum::<i128>() + date.day
        }
        DateFunction::DaysInMonth => {
            let date = Date::of(day);
            days_in(date.year, date.month)
        }
    };
    value as f64
}

struct Date {
    year: i128,
    month: i128,
    day: i128,
}

impl Date {
    /// The date of a day counted from the first of January 1970, in the Gregorian calendar.
    fn of(day: i128) -> Date {
        let day = day + DAYS_TO_1970;
        let (era, day_of_era) = (day.div_euclid(ERA_DAYS), day.rem_euclid(ERA_DAYS));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (ERA_DAYS - 1)) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let year = year_of_era + 400 * era;
        if month < 10 { Date { year, month: month + 3, day } } else { Date { year: year + 1, month: month - 9, day } }
    }
}

fn days_in(year: i128, month: i128) -> i128 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let all = [
            DateFunction::Year,
            DateFunction::Month,
            DateFunction::DayOfMonth,
            DateFunction::Hour,
            DateFunction::Minute,
            DateFunction::DayOfWeek,
            DateFunction::DayOfYear,
            DateFunction::DaysInMonth,
        ];
        for (seconds, parts) in [
            (0, [1970.0, 1.0, 1.0, 0.0, 0.0, 4.0, 1.0, 31.0]),
            (951_782_399, [2000.0, 2.0, 28.0, 23.0, 59.0, 1.0, 59.0, 29.0]),
            (951_782_400, [2000.0, 2.0, 29.0, 0.0, 0.0, 2.0, 60.0, 29.0]),
            (4_107_542_400, [2100.0, 3.0, 1.0, 0.0, 0.0, 1.0, 60.0, 31.0]),
            (1_735_689_599, [2024.0, 12.0, 31.0, 23.0, 59.0, 2.0, 366.0, 31.0]),
            (-1, [1969.0, 12.0, 31.0, 23.0, 59.0, 3.0, 365.0, 31.0]),
        ] {
            assert_eq!(all.map(|function| part(function, seconds)), parts, "{seconds}");
        }
    }
}
