//! What the present test is called: so that it can be run again, and so that its file can be found.

use std::panic::Location;
use std::path::Path;

/// A test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TestName {
    /// As `cargo test` takes it: `shop::no_order_is_lost`; nothing if it has none.
    pub test: Option<String>,
    /// Another name that it gives itself.
    pub called: Option<String>,
    /// Its source file without folder and ending: `orders` of `tests/orders.rs`.
    pub file: String,
}

impl TestName {
    /// The test on this thread. `closure` is the type of what it runs; `at` is where it does.
    ///
    /// libtest names its threads after the tests, except when it has only one (`--test-threads=1`): then the closure is asked
    /// for the function that it stands in.
    pub fn present(closure: &str, called: Option<String>, at: &Location<'_>) -> Self {
        let thread = std::thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        Self { test: thread.or_else(|| of_closure(closure)), called, file: file(at.file()) }
    }

    /// What is told of it.
    pub fn told(&self) -> &str {
        self.called.as_deref().or(self.test.as_deref()).unwrap_or(&self.file)
    }

    /// The line that runs it again with one seed.
    pub fn replay(&self, seed: u64) -> String {
        let test = self.test.as_ref().map(|test| format!(" {test} -- --exact")).unwrap_or_default();
        format!("MADSIM_TEST_SEED={seed} cargo test{test}")
    }
}

/// `orders::shop::no_order_is_lost::{{closure}}` stands in `shop::no_order_is_lost` of the crate `orders`.
fn of_closure(name: &str) -> Option<String> {
    let function = name.strip_suffix("::{{closure}}")?.trim_end_matches("::{{closure}}");
    let (_, test) = function.split_once("::")?;
    (test != "main").then(|| test.to_owned())
}

fn file(path: &str) -> String {
    let path = Path::new(path);
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    match stem(path).filter(|stem| stem != "main" && stem != "mod") {
        Some(stem) => stem,
        None => path.parent().and_then(stem).unwrap_or_else(|| "test".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_called_as_its_thread() {
        let here = TestName::present("", None, Location::caller());
        assert_eq!(here.test.as_deref(), Some("app::name::tests::a_test_is_called_as_its_thread"));
        assert_eq!(here.file, "name");
        assert_eq!(
            here.replay(17),
            "MADSIM_TEST_SEED=17 cargo test app::name::tests::a_test_is_called_as_its_thread -- --exact"
        );
    }

    #[test]
    fn a_test_on_the_main_thread_is_called_as_its_function() {
        let closure = || {};
        let name = std::any::type_name_of_val(&closure);
        let expected = "app::name::tests::a_test_on_the_main_thread_is_called_as_its_function";
        assert_eq!(of_closure(name).as_deref(), Some(expected));
        assert_eq!(of_closure("orders::checkout"), None, "a function of its own is not the test");
    }

    #[test]
    fn a_file_that_is_a_folder_is_called_as_the_folder() {
        assert_eq!(file("tests/orders.rs"), "orders");
        assert_eq!(file("tests/orders/main.rs"), "orders");
        assert_eq!(file("main.rs"), "test");
    }
}
