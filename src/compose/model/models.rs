//! AI models (spec rows `models*`): nothing here runs them.

attributes! {
    /// A top-level model.
    pub struct Model {
        /// Name for the runner; its key when absent.
        pub name: Option<String>,
        /// Reference of the artifact that holds it.
        pub model: String,
        /// Tokens of context; the runner's choice when absent.
        pub context_size: Option<u64>,
        /// Arguments for the runner.
        pub runtime_flags: Vec<String>,
    }

    /// A service's use of a model.
    pub struct ServiceModel {
        /// Variable that gets the address; `KEY_URL` when absent.
        pub endpoint_var: Option<String>,
        /// Variable that gets the model's name; `KEY` when absent.
        pub model_var: Option<String>,
    }
}
