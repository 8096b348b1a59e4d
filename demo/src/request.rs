//! One request of a customer, and what each service has to do with it.

use fastrand::Rng;

use crate::incident::Phase;

/// What a customer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Home,
    Product,
    Search,
    AddToCart,
    Login,
    Checkout,
}

/// How often each action is seen, of 100.
const MIX: [(Action, u32); 6] = [
    (Action::Home, 22),
    (Action::Product, 34),
    (Action::Search, 18),
    (Action::AddToCart, 12),
    (Action::Login, 6),
    (Action::Checkout, 8),
];

impl Action {
    fn draw(random: &mut Rng) -> Action {
        let mut left = random.u32(0..100);
        for (action, share) in MIX {
            match left.checked_sub(share) {
                None => return action,
                Some(rest) => left = rest,
            }
        }
        Action::Home
    }

    /// HTTP method.
    pub const fn method(self) -> &'static str {
        match self {
            Action::Home | Action::Product | Action::Search => "GET",
            Action::AddToCart | Action::Login | Action::Checkout => "POST",
        }
    }

    /// The path without ids, as a metric's label.
    pub const fn route(self) -> &'static str {
        match self {
            Action::Home => "/",
            Action::Product => "/products/{id}",
            Action::Search => "/search",
            Action::AddToCart => "/cart/items",
            Action::Login => "/login",
            Action::Checkout => "/checkout",
        }
    }

    /// What the database is asked.
    pub const fn statement(self) -> &'static str {
        match self {
            Action::Home => "SELECT id, title, price FROM products ORDER BY sold DESC LIMIT 12",
            Action::Product => "SELECT * FROM products WHERE id = $1",
            Action::Search => "SELECT id, title FROM products WHERE words @@ to_tsquery($1) LIMIT 40",
            Action::AddToCart => "INSERT INTO cart_items (cart, product, quantity) VALUES ($1, $2, $3)",
            Action::Login => "SELECT id, hash FROM users WHERE mail = $1",
            Action::Checkout => "UPDATE stock SET count = count - $2 WHERE product = $1",
        }
    }
}

/// What went wrong, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The database took no connection.
    DatabaseRefused,
    /// A wrong password.
    WrongPassword,
    /// The bank said no.
    CardDeclined,
    /// A product that is not there.
    NotFound,
}

/// A request, from its first byte to its last.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// When the last byte was sent, milliseconds since the epoch.
    pub ended_ms: i64,
    pub action: Action,
    /// Goes through all services.
    pub correlation_id: u64,
    pub user: u32,
    pub product: u32,
    /// Cents.
    pub amount: u32,
    pub client: [u8; 4],
    /// What the database needed, milliseconds.
    pub database_ms: f64,
    /// What the checks of the session needed.
    pub auth_ms: f64,
    /// From the API's first byte to its last.
    pub api_ms: f64,
    /// The same at the edge.
    pub web_ms: f64,
    pub bytes: u32,
    pub failure: Option<Failure>,
    /// Which instance of each service has served it.
    pub node: u32,
}

impl Request {
    /// A request that ends at a time, in the state that the shop is in.
    pub fn draw(random: &mut Rng, ended_ms: i64, phase: Phase) -> Request {
        let action = Action::draw(random);
        let failure = failure(random, action, phase);
        let database_ms = match (phase, failure) {
            (_, Some(Failure::DatabaseRefused)) => 0.4 + random.f64(),
            (Phase::Calm, _) => long_tailed(random, 3.0),
            (Phase::SlowDatabase | Phase::RefusedConnections, _) => 900.0 + long_tailed(random, 250.0),
        };
        let auth_ms = long_tailed(random, 1.2);
        let api_ms = database_ms + auth_ms + long_tailed(random, 4.0);
        Request {
            ended_ms,
            action,
            correlation_id: random.u64(..),
            user: random.u32(1..4000),
            product: random.u32(1..900),
            amount: random.u32(300..30_000),
            client: [198, 51, random.u8(..), random.u8(1..255)],
            database_ms,
            auth_ms,
            api_ms,
            web_ms: api_ms + 0.3 + long_tailed(random, 0.8),
            bytes: random.u32(300..40_000),
            failure,
            node: random.u32(1..4),
        }
    }

    /// HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match (self.failure, self.action) {
            (Some(Failure::DatabaseRefused), _) => 503,
            (Some(Failure::WrongPassword), _) => 401,
            (Some(Failure::CardDeclined), _) => 402,
            (Some(Failure::NotFound), _) => 404,
            (None, Action::AddToCart | Action::Checkout) => 201,
            (None, _) => 200,
        }
    }

    /// The path as the customer sent it.
    pub fn path(&self) -> String {
        match self.action {
            Action::Product => format!("/products/{}", self.product),
            Action::Search => format!("/search?q={}", WORDS[self.product as usize % WORDS.len()]),
            action => action.route().to_owned(),
        }
    }
}

const WORDS: [&str; 8] = ["lantern", "rope", "tent", "stove", "compass", "boots", "kettle", "map"];

fn failure(random: &mut Rng, action: Action, phase: Phase) -> Option<Failure> {
    if phase == Phase::RefusedConnections && random.u32(0..10) < 6 {
        return Some(Failure::DatabaseRefused);
    }
    let one_in = |random: &mut Rng, count: u32| random.u32(0..count) == 0;
    match action {
        Action::Login if one_in(random, 12) => Some(Failure::WrongPassword),
        Action::Checkout if one_in(random, 25) => Some(Failure::CardDeclined),
        Action::Product if one_in(random, 60) => Some(Failure::NotFound),
        _ if one_in(random, 1500) => Some(Failure::DatabaseRefused),
        _ => None,
    }
}

/// A positive number with this median and a long tail (log-normal, sigma 0.7).
fn long_tailed(random: &mut Rng, median: f64) -> f64 {
    // Box and Muller's transform; the first number must not be 0.
    let (first, second) = (1.0 - random.f64(), random.f64());
    let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
    median * (0.7 * normal).exp()
}
