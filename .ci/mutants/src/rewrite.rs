//! One file with all its mutants in it, each behind a switch.
//!
//! The text is kept; at each place that has mutants it is wrapped. An operand appears once, so that the size of what comes
//! out is linear in what went in: `a < b` is `match (&(a), &(b)) { (l, r) => match pick(..) { 0 => *l < *r, 1 => *l == *r, .. } }`.
//! What the program does by itself is the first arm, so that a mutant of the wrong type is the one that the compiler blames.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::list::{Genre, Mutant, Position};

/// A mutated file, and where in it what is.
#[derive(Debug, Default)]
pub struct Rewritten {
    pub text: String,
    /// The bytes that only this mutant has.
    pub alternatives: Vec<(Range<usize>, usize)>,
    /// The bytes of a wrapped place, and its mutants.
    pub places: Vec<(Range<usize>, Vec<usize>)>,
    /// Match arms that can be switched off: where they begin, and the mutant.
    pub arms: Vec<(usize, usize)>,
    /// Mutants that are no Rust.
    pub unviable: Vec<usize>,
    /// Mutants that cannot be put behind a switch, with the reason.
    pub not_tried: Vec<(usize, &'static str)>,
}

/// Puts `mutants`, all of one file, into its text.
pub fn rewrite(source: &str, mutants: &[&Mutant]) -> Result<Rewritten, String> {
    let file = syn::parse_file(source).map_err(|error| error.to_string())?;
    let mut finder = Finder {
        open: BTreeMap::new(),
        found: vec![Vec::new()],
        constant: 0,
        unviable: Vec::new(),
        not_tried: Vec::new(),
    };
    for mutant in mutants {
        let start = byte_of(source, mutant.start).ok_or_else(|| format!("{}: no such place", mutant.name))?;
        finder.open.entry((mutant.genre, start)).or_default().push(mutant);
    }
    finder.visit_file(&file);
    let mut rewritten = Rewritten { unviable: finder.unviable, not_tried: finder.not_tried, ..Rewritten::default() };
    for mutant in finder.open.values().flatten() {
        rewritten.not_tried.push((mutant.number, "its place was not found in the syntax tree"));
    }
    let places = finder.found.pop().unwrap_or_default();
    Writer { source, out: &mut rewritten }.write(0..source.len(), &places);
    Ok(rewritten)
}

fn byte_of(source: &str, position: Position) -> Option<usize> {
    let mut start = 0;
    for (number, line) in (1..).zip(source.split_inclusive('\n')) {
        if number == position.line {
            return line.char_indices().nth(position.column - 1).map(|(byte, _)| start + byte);
        }
        start += line.len();
    }
    None
}

/// A place with mutants.
struct Place<'m> {
    range: Range<usize>,
    kind: Kind,
    mutants: Vec<&'m Mutant>,
    /// Places within this one.
    inner: Vec<Place<'m>>,
}

enum Kind {
    /// What is between the braces of a function; with the bounds of its `impl Iterator`, if it returns one.
    Body(Option<String>),
    /// `&&` and `||`; both sides.
    Logical {
        and: bool,
        left: Range<usize>,
        right: Range<usize>,
    },
    Comparison {
        op: Range<usize>,
        left: Range<usize>,
        right: Range<usize>,
    },
    Arithmetic {
        op: Range<usize>,
        left: Range<usize>,
        right: Range<usize>,
    },
    Assignment {
        op: Range<usize>,
        left: Range<usize>,
        right: Range<usize>,
    },
    Unary {
        op: Range<usize>,
        operand: Range<usize>,
    },
    Guard,
    /// From the pattern to the end of the guard.
    Arm {
        pattern: Range<usize>,
        guard: Option<Range<usize>>,
    },
    /// From the name to the end of the value.
    Field {
        name: Range<usize>,
        value: Range<usize>,
        of: Range<usize>,
        rest: Range<usize>,
    },
}

struct Finder<'m> {
    open: BTreeMap<(Genre, usize), Vec<&'m Mutant>>,
    /// The places found, by depth.
    found: Vec<Vec<Place<'m>>>,
    /// How deep within expressions that the compiler computes.
    constant: usize,
    unviable: Vec<usize>,
    not_tried: Vec<(usize, &'static str)>,
}

impl<'m> Finder<'m> {
    fn take(&mut self, genre: Genre, start: usize) -> Vec<&'m Mutant> {
        self.open.remove(&(genre, start)).unwrap_or_default()
    }

    fn not_tried(&mut self, mutants: &[&Mutant], why: &'static str) {
        self.not_tried.extend(mutants.iter().map(|mutant| (mutant.number, why)));
    }

    /// A place and what `within` finds in it.
    fn place(&mut self, mutants: Vec<&'m Mutant>, range: Range<usize>, kind: Kind, within: impl FnOnce(&mut Self)) {
        if self.constant > 0 {
            self.not_tried(&mutants, "in a constant");
        }
        if self.constant > 0 || mutants.is_empty() {
            return within(self);
        }
        self.found.push(Vec::new());
        within(self);
        let inner = self.found.pop().unwrap_or_default();
        self.found.last_mut().expect("there is the file").push(Place { range, kind, mutants, inner });
    }

    fn in_constant(&mut self, within: impl FnOnce(&mut Self)) {
        self.constant += 1;
        within(self);
        self.constant -= 1;
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block, within: impl FnOnce(&mut Self)) {
        let constant = signature.constness.is_some();
        self.constant += usize::from(constant);
        let mutants =
            block.stmts.first().map(|first| self.take(Genre::FnValue, range(first).start)).unwrap_or_default();
        let bounds = match &signature.output {
            syn::ReturnType::Type(_, returned) => match &**returned {
                syn::Type::ImplTrait(bounds) => Some(tokens(&bounds.bounds)),
                _ => None,
            },
            syn::ReturnType::Default => None,
        };
        let braces = range(block);
        self.place(mutants, braces.start + 1..braces.end - 1, Kind::Body(bounds), within);
        self.constant -= usize::from(constant);
    }

    fn binary(&mut self, expr: &syn::ExprBinary) {
        let op = range(&expr.op);
        let mutants = self.take(Genre::BinaryOperator, op.start);
        let (left, right) = (range(&expr.left), range(&expr.right));
        let kind = match expr.op {
            syn::BinOp::And(_) | syn::BinOp::Or(_) => {
                if is_let(expr) {
                    // A `let` is a condition only between `&&`.
                    self.unviable.extend(mutants.iter().map(|mutant| mutant.number));
                    return visit::visit_expr_binary(self, expr);
                }
                Kind::Logical { and: matches!(expr.op, syn::BinOp::And(_)), left, right }
            }
            syn::BinOp::Eq(_)
            | syn::BinOp::Ne(_)
            | syn::BinOp::Lt(_)
            | syn::BinOp::Le(_)
            | syn::BinOp::Gt(_)
            | syn::BinOp::Ge(_) => Kind::Comparison { op, left, right },
            syn::BinOp::Add(_)
            | syn::BinOp::Sub(_)
            | syn::BinOp::Mul(_)
            | syn::BinOp::Div(_)
            | syn::BinOp::Rem(_)
            | syn::BinOp::BitAnd(_)
            | syn::BinOp::BitOr(_)
            | syn::BinOp::BitXor(_)
            | syn::BinOp::Shl(_)
            | syn::BinOp::Shr(_) => Kind::Arithmetic { op, left, right },
            _ => Kind::Assignment { op, left, right },
        };
        self.place(mutants, range(expr), kind, |finder| visit::visit_expr_binary(finder, expr));
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block, |finder| visit::visit_item_fn(finder, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block, |finder| visit::visit_impl_item_fn(finder, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        match &item.default {
            Some(block) => self.function(&item.sig, block, |finder| visit::visit_trait_item_fn(finder, item)),
            None => visit::visit_trait_item_fn(self, item),
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.in_constant(|finder| visit::visit_item_const(finder, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.in_constant(|finder| visit::visit_impl_item_const(finder, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.in_constant(|finder| visit::visit_item_static(finder, item));
    }

    fn visit_type(&mut self, item: &'ast syn::Type) {
        self.in_constant(|finder| visit::visit_type(finder, item));
    }

    fn visit_pat(&mut self, item: &'ast syn::Pat) {
        self.in_constant(|finder| visit::visit_pat(finder, item));
    }

    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
        self.in_constant(|finder| finder.visit_expr(&item.len));
    }

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        self.binary(expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast syn::ExprUnary) {
        let op = range(&expr.op);
        let mutants = self.take(Genre::UnaryOperator, op.start);
        let kind = Kind::Unary { op, operand: range(&expr.expr) };
        self.place(mutants, range(expr), kind, |finder| visit::visit_expr_unary(finder, expr));
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let deleted = self.take(Genre::MatchArm, range(arm).start);
        let pattern = range(&arm.pat);
        let guard = arm.guard.as_ref().map(|(_, guard)| range(&**guard));
        let end = guard.as_ref().map_or(pattern.end, |guard| guard.end);
        let kind = Kind::Arm { pattern: pattern.clone(), guard: guard.clone() };
        self.place(deleted, pattern.start..end, kind, |finder| {
            if let (Some((_, condition)), Some(guard)) = (&arm.guard, guard) {
                let mutants = finder.take(Genre::MatchArmGuard, guard.start);
                finder.place(mutants, guard, Kind::Guard, |finder| finder.visit_expr(condition));
            }
        });
        self.visit_expr(&arm.body);
    }

    fn visit_expr_struct(&mut self, expr: &'ast syn::ExprStruct) {
        for field in &expr.fields {
            let mutants = self.take(Genre::StructField, range(field).start);
            match &expr.rest {
                Some(rest) => {
                    let (name, value) = (range(&field.member), range(&field.expr));
                    let kind = Kind::Field { name, value, of: range(&expr.path), rest: range(&**rest) };
                    self.place(mutants, range(field), kind, |finder| finder.visit_field_value(field));
                }
                None => {
                    self.not_tried(&mutants, "a field without a base");
                    self.visit_field_value(field);
                }
            }
        }
        if let Some(rest) = &expr.rest {
            self.visit_expr(rest);
        }
    }
}

fn range(node: &impl Spanned) -> Range<usize> {
    node.span().byte_range()
}

fn tokens(bounds: &syn::punctuated::Punctuated<syn::TypeParamBound, syn::Token![+]>) -> String {
    bounds.span().source_text().unwrap_or_default()
}

/// Whether a `let` is one of the conditions that are chained here.
fn is_let(expr: &syn::ExprBinary) -> bool {
    [&expr.left, &expr.right].into_iter().any(|side| match &**side {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(inner) if matches!(inner.op, syn::BinOp::And(_)) => is_let(inner),
        _ => false,
    })
}

struct Writer<'w> {
    source: &'w str,
    out: &'w mut Rewritten,
}

impl Writer<'_> {
    fn say(&mut self, text: &str) {
        self.out.text.push_str(text);
    }

    /// The text of `range`, with the places in it wrapped.
    fn write(&mut self, range: Range<usize>, places: &[Place<'_>]) {
        let mut at = range.start;
        for place in places.iter().filter(|place| place.range.start >= range.start && place.range.end <= range.end) {
            self.out.text.push_str(&self.source[at..place.range.start]);
            let start = self.out.text.len();
            self.wrap(place);
            let numbers = place.mutants.iter().map(|mutant| mutant.number).collect();
            self.out.places.push((start..self.out.text.len(), numbers));
            at = place.range.end;
        }
        self.out.text.push_str(&self.source[at..range.end]);
    }

    /// `match pick(..) { 0 => what the program does, 1 => one mutant, .. }`
    fn choose(&mut self, place: &Place<'_>, none: impl FnOnce(&mut Self), mut with: impl FnMut(&mut Self, &Mutant)) {
        self.say("match crate::mutant::pick(&[");
        for mutant in &place.mutants {
            let _ = write!(self.out.text, "{},", mutant.number);
        }
        self.say("]) { 0 => ");
        none(self);
        for (index, mutant) in place.mutants.iter().enumerate() {
            self.say(", ");
            let start = self.out.text.len();
            if index + 1 == place.mutants.len() {
                self.say("_ => ");
            } else {
                let _ = write!(self.out.text, "{} => ", index + 1);
            }
            with(self, mutant);
            self.out.alternatives.push((start..self.out.text.len(), mutant.number));
        }
        self.say(" }");
    }

    fn wrap(&mut self, place: &Place<'_>) {
        let source = self.source;
        let first = place.mutants[0].number;
        match &place.kind {
            Kind::Body(bounds) => self.body(place, bounds.as_deref()),
            Kind::Logical { and, left, right } => {
                self.say("({ let __l: bool = ");
                self.write(left.clone(), &place.inner);
                let _ =
                    write!(self.out.text, "; if __l {} crate::mutant::on({first}) {{ ", if *and { "!=" } else { "==" });
                self.write(right.clone(), &place.inner);
                self.say(" } else { __l } })");
            }
            Kind::Comparison { op, left, right } => {
                self.say("(match (&(");
                self.write(left.clone(), &place.inner);
                self.say("), &(");
                self.write(right.clone(), &place.inner);
                self.say(")) { (__l, __r) => ");
                self.choose(
                    place,
                    |writer| writer.say(&format!("*__l {} *__r", &source[op.clone()])),
                    |writer, mutant| writer.say(&format!("*__l {} *__r", mutant.replacement)),
                );
                self.say(" })");
            }
            Kind::Arithmetic { op, left, right } => {
                self.say("(match (");
                self.write(left.clone(), &place.inner);
                self.say(", ");
                self.write(right.clone(), &place.inner);
                self.say(") { (__l, __r) => ");
                self.choose(
                    place,
                    |writer| writer.say(&format!("__l {} __r", &source[op.clone()])),
                    |writer, mutant| writer.say(&format!("__l {} __r", mutant.replacement)),
                );
                self.say(" })");
            }
            Kind::Assignment { op, left, right } => {
                self.say("(match ");
                self.write(right.clone(), &place.inner);
                self.say(" { __r => ");
                let assign = |writer: &mut Self, op: &str| {
                    writer.write(left.clone(), &place.inner);
                    writer.say(&format!(" {op} __r"));
                };
                self.choose(
                    place,
                    |writer| assign(writer, &source[op.clone()]),
                    |writer, mutant| assign(writer, &mutant.replacement),
                );
                self.say(" })");
            }
            Kind::Unary { op, operand } => {
                self.say("(match ");
                self.write(operand.clone(), &place.inner);
                self.say(" { __v => ");
                self.choose(
                    place,
                    |writer| writer.say(&format!("{}__v", &source[op.clone()])),
                    |writer, _| writer.say("__v"),
                );
                self.say(" })");
            }
            Kind::Guard => {
                self.say("(");
                self.choose(
                    place,
                    |writer| writer.write(place.range.clone(), &place.inner),
                    |writer, mutant| writer.say(&mutant.replacement),
                );
                self.say(")");
            }
            Kind::Arm { pattern, guard } => {
                self.out.arms.push((self.out.text.len(), first));
                self.write(pattern.clone(), &place.inner);
                let _ = write!(self.out.text, " if !crate::mutant::on({first})");
                if let Some(guard) = guard {
                    self.say(" && (");
                    self.write(guard.clone(), &place.inner);
                    self.say(")");
                }
            }
            Kind::Field { name, value, of, rest } => {
                let name = &source[name.clone()];
                self.say(&format!("{name}: ("));
                self.choose(
                    place,
                    |writer| writer.write(value.clone(), &place.inner),
                    |writer, _| {
                        let (of, rest) = (&source[of.clone()], &source[rest.clone()]);
                        // Of what is there already only the field is taken, as by `..*self`.
                        writer.say(&match rest.starts_with('*') {
                            true => format!("({rest}).{name}"),
                            false => format!("{{ let __base: {of} = {rest}; __base.{name} }}"),
                        });
                    },
                );
                self.say(")");
            }
        }
    }

    /// A function that returns one of several iterators has to box them.
    fn body(&mut self, place: &Place<'_>, bounds: Option<&str>) {
        let boxed = |value: &str| match bounds {
            Some(bounds) => format!("return ::std::boxed::Box::new({value}) as ::std::boxed::Box<dyn {bounds}>"),
            None => format!("return {value}"),
        };
        self.say(" ");
        self.choose(place, |writer| writer.say("()"), |writer, mutant| writer.say(&boxed(&mutant.replacement)));
        match bounds {
            Some(bounds) => {
                self.say(" ::std::boxed::Box::new({");
                self.write(place.range.clone(), &place.inner);
                self.say(&format!("}}) as ::std::boxed::Box<dyn {bounds}>"));
            }
            None => self.write(place.range.clone(), &place.inner),
        }
    }
}
