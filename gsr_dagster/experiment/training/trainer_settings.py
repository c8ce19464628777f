"""What `training: {trainer: {…}}` of the experiment file passes on to TRL's SFTConfig or GRPOConfig, by their own names.

The names are written down here, so that an experiment is checked without loading TRL. A test
holds them to the fields that SFTConfig and GRPOConfig have.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from gsr_dagster.experiment.likeness import nearest
from gsr_dagster.experiment.settings import Count, Section

# Fields of SFTConfig that are set elsewhere, or not at all, and what to do instead.
_ELSEWHERE = (
    ("learning_rate", "set training.learning_rate"),
    ("num_train_epochs max_steps", "set training.epochs"),
    ("warmup_steps warmup_ratio", "set training.warmup, a share of the steps"),
    ("per_device_train_batch_size auto_find_batch_size", "set training.rows_at_once"),
    ("gradient_accumulation_steps", "set training.batch_size, the rows of a step"),
    ("max_length", "set training.max_length"),
    ("seed data_seed", "set the experiment's seed"),
    ("local_rank", "set training.processes"),
    ("output_dir", "the checkpoint is an artifact of the store"),
    ("attn_implementation", "set model_init_kwargs: {attn_implementation: …}"),
    ("use_kernels", "set model_init_kwargs: {use_kernels: true}"),
    ("trust_remote_code", "nothing is trained with a model's own code"),
    ("use_cpu", "a GPU is used where there is one"),
    ("use_cache", "a cache is of no use in training"),
    ("packing_strategy", "packing keeps every row whole (bfd): others cut rows in the middle"),
    ("padding_free", "set packing: true, which leaves padding out"),
    (
        "loss_type label_smoothing_factor router_aux_loss_coef average_tokens_across_devices",
        "the loss is the paper's, by training.refine_weight",
    ),
    ("completion_only_loss assistant_only_loss", "only the teacher's text is learned, always"),
    (
        "fsdp fsdp_config deepspeed accelerator_config parallelism_config",
        "name a config of `accelerate config` in training.accelerate",
    ),
    (
        "dataset_text_field dataset_kwargs dataset_num_proc eos_token pad_token chat_template_path truncation_mode "
        "shuffle_dataset remove_unused_columns label_names length_column_name train_sampling_strategy "
        "dataloader_drop_last",
        "the rows are tokenized by this project, as the student will be asked",
    ),
    (
        "save_strategy save_steps save_total_limit save_only_model save_on_each_node enable_jit_checkpoint "
        "resume_from_checkpoint ignore_data_skip restore_callback_states_from_checkpoint",
        "set training.save_minutes: what is saved, and where, is this project's",
    ),
    (
        "do_train do_eval do_predict eval_strategy eval_steps eval_delay eval_on_start eval_packing "
        "eval_do_concat_batches eval_use_gather_object eval_accumulation_steps per_device_eval_batch_size "
        "prediction_loss_only include_for_metrics batch_eval_metrics bf16_full_eval fp16_full_eval "
        "load_best_model_at_end metric_for_best_model greater_is_better",
        "nothing is evaluated while a student learns: its evaluation is the experiment's own",
    ),
    (
        "push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision "
        "trackio_space_id trackio_bucket_id trackio_static_space_id",
        "gsr export STUDENT --push ORG/NAME pushes a student once it is trained",
    ),
    (
        "logging_strategy logging_steps logging_first_step logging_nan_inf_filter log_on_each_node log_level "
        "log_level_replica disable_tqdm include_num_input_tokens_seen skip_memory_metrics debug",
        "every step is logged",
    ),
)
ELSEWHERE = {name: why for names, why in _ELSEWHERE for name in names.split()}
# Of what goes to from_pretrained: what this project decides.
OURS_OF_THE_MODEL = ("dtype", "torch_dtype", "trust_remote_code", "use_safetensors", "revision", "device_map")
# Where a training is told of, and how its data is read: not what is learned.
NOT_LEARNED_FROM = (
    "report_to",
    "run_name",
    "project",
    "dataloader_num_workers",
    "dataloader_pin_memory",
    "dataloader_persistent_workers",
    "dataloader_prefetch_factor",
    "dataloader_multiprocessing_context",
    "ddp_timeout",
)


class SharedTrainerSettings(Section):
    """Settings that SFTConfig and GRPOConfig share; what is not set stays as this project has it.

    ``model_init_kwargs`` go to ``from_pretrained``, as in ``{attn_implementation:
    flash_attention_2}``. ``report_to`` names where the training is shown, as in ``wandb``; its key
    is read from the environment.
    """

    adam_beta1: float | None = Field(default=None, ge=0, lt=1)
    adam_beta2: float | None = Field(default=None, ge=0, lt=1)
    adam_epsilon: float | None = Field(default=None, ge=0)
    bf16: bool | None = None
    dataloader_in_order: bool | None = None
    dataloader_multiprocessing_context: str | None = None
    dataloader_num_workers: Annotated[int, Field(ge=0)] | None = None
    dataloader_persistent_workers: bool | None = None
    dataloader_pin_memory: bool | None = None
    dataloader_prefetch_factor: Count | None = None
    ddp_backend: str | None = None
    ddp_broadcast_buffers: bool | None = None
    ddp_bucket_cap_mb: Count | None = None
    ddp_find_unused_parameters: bool | None = None
    ddp_static_graph: bool | None = None
    ddp_timeout: Count | None = None
    fp16: bool | None = None
    full_determinism: bool | None = None
    gradient_checkpointing: bool | None = None
    gradient_checkpointing_kwargs: dict[str, Any] | None = None
    liger_kernel_config: dict[str, bool] | None = None
    lr_scheduler_kwargs: dict[str, Any] | None = None
    lr_scheduler_type: str | None = None
    max_grad_norm: float | None = Field(default=None, ge=0)
    model_init_kwargs: dict[str, Any] | None = None
    neftune_noise_alpha: float | None = Field(default=None, ge=0)
    optim: str | None = None
    optim_args: str | None = None
    optim_target_modules: str | tuple[str, ...] | None = None
    pad_to_multiple_of: Count | None = None
    project: str | None = None
    report_to: str | tuple[str, ...] | None = None
    run_name: str | None = None
    tf32: bool | None = None
    torch_compile: bool | None = None
    torch_compile_backend: str | None = None
    torch_compile_mode: str | None = None
    torch_empty_cache_steps: Count | None = None
    use_liger_kernel: bool | None = None
    weight_decay: float | None = Field(default=None, ge=0)

    @field_validator("model_init_kwargs")
    @classmethod
    def _leaves_the_model_to_us(cls, kwargs: dict[str, Any] | None) -> dict[str, Any] | None:
        taken = [name for name in kwargs or () if name in OURS_OF_THE_MODEL]
        if taken:
            raise ValueError(f"{', '.join(taken)} is not set here; this project decides it")
        return kwargs

    @model_serializer(mode="wrap")
    def _what_is_set(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}

    @property
    def learned(self) -> dict[str, Any]:
        """What of it shapes what is learned, for the fingerprint."""
        return {name: value for name, value in self.model_dump(mode="json").items() if name not in NOT_LEARNED_FROM}


class TrainerSettings(SharedTrainerSettings):
    """Settings of TRL's SFTConfig, by its own names; what is not set stays as this project has it.

    ``packing`` puts whole rows one after another up to ``max_length``; ``batch_size`` then counts
    such packs. ``model_init_kwargs`` go to ``from_pretrained``, as in ``{attn_implementation:
    flash_attention_2}``. ``report_to`` names where the training is shown, as in ``wandb``; its key
    is read from the environment.
    """

    activation_offloading: bool | None = None
    packing: bool | None = None


class GRPOTrainerSettings(SharedTrainerSettings):
    """Settings of TRL's GRPOConfig, by its own names; what is not set stays as TRL has it."""

    cast_lm_head_to_fp32: bool | None = None
    delta: float | None = Field(default=None, gt=1)
    disable_dropout: bool | None = None
    entropy_coef: float | None = Field(default=None, ge=0)
    importance_sampling_level: Literal["token", "sequence"] | None = None
    mask_truncated_completions: bool | None = None
    off_policy_mask_threshold: float | None = Field(default=None, gt=0)
    scale_rewards: Literal["group", "batch", "none"] | None = None
    top_entropy_quantile: float | None = Field(default=None, gt=0, le=1)
    use_bias_correction_kl: bool | None = None
    vllm_enable_sleep_mode: bool | None = None
    vllm_importance_sampling_correction: bool | None = None
    vllm_importance_sampling_mode: (
        Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] | None
    ) = None
    vllm_importance_sampling_clip_max: float | None = Field(default=None, gt=0)
    vllm_importance_sampling_clip_min: float | None = Field(default=None, ge=0)
    vllm_model_impl: Literal["vllm", "transformers"] | None = None


# What else of GRPOConfig is set elsewhere, or not at all, and what to do instead.
_ELSEWHERE_OF_GRPO = (
    ("beta epsilon epsilon_high loss_type num_iterations", "set it in training itself"),
    ("num_generations num_generations_eval", "set training.rollouts.samples, the size of a group"),
    ("max_completion_length", "set training.rollouts.max_new_tokens"),
    ("temperature top_p top_k min_p repetition_penalty", "set it in training.rollouts"),
    ("generation_batch_size steps_per_generation", "set training.batch_size, the rollouts of a step"),
    (
        "use_vllm vllm_mode vllm_server_base_url vllm_server_host vllm_server_port vllm_group_port "
        "vllm_gpu_memory_utilization vllm_max_model_length vllm_tensor_parallel_size vllm_server_timeout "
        "vllm_structured_outputs_regex vllm_importance_sampling_cap",
        "set training.vllm",
    ),
    ("reward_weights multi_objective_aggregation", "there is one reward, the grader's"),
    ("chat_template_kwargs", "set it at the model"),
    (
        "generation_kwargs cache_implementation use_transformers_paged use_transformers_continuous_batching "
        "transformers_continuous_batching_config ds3_gather_for_generation max_tool_calling_iterations",
        "rollouts are sampled as training.rollouts says",
    ),
    (
        "log_completions log_completions_hub_repo log_multimodal log_unique_prompts num_completions_to_print",
        "every rollout is kept: `gsr sql` shows training_rollouts",
    ),
    (
        "sync_ref_model ref_model_mixup_alpha ref_model_sync_steps",
        "the reference is what the student starts as, with an adapter or without",
    ),
    (
        "use_adaptive_entropy entropy_coef_delta entropy_coef_max entropy_coef_min entropy_target",
        "set entropy_coef, which stays as it is",
    ),
    (
        "sapo_temperature_neg sapo_temperature_pos vespo_k_neg vespo_k_pos vespo_lambda_neg vespo_lambda_pos",
        "the variants of the loss have TRL's own values",
    ),
)
OF_SFT_ALONE = (
    *("max_length", "activation_offloading", "packing", "packing_strategy", "padding_free", "eval_packing"),
    *("completion_only_loss", "assistant_only_loss", "dataset_text_field", "dataset_kwargs", "dataset_num_proc"),
    *("eos_token", "pad_token", "chat_template_path", "truncation_mode", "loss_type"),
)
ELSEWHERE_OF_GRPO = {name: why for name, why in ELSEWHERE.items() if name not in OF_SFT_ALONE} | {
    name: why for names, why in _ELSEWHERE_OF_GRPO for name in names.split()
}
KNOWN: dict[type[Section], tuple[str, dict[str, str]]] = {
    TrainerSettings: ("SFTConfig", ELSEWHERE),
    GRPOTrainerSettings: ("GRPOConfig", ELSEWHERE_OF_GRPO),
}


def instead_of(name: str, section: type[Section]) -> str:
    """Return where a field of TRL's config is set that is none of a section's, or which name is near; "" for others."""
    config, elsewhere = KNOWN[section]
    if name in elsewhere:
        return f"{name} is not set here: {elsewhere[name]}"
    near = nearest(name, [*section.model_fields, *elsewhere])
    if not near:
        return ""
    instead = f" It is not set here: {elsewhere[near]}" if near in elsewhere else ""
    return f"{name} is no setting of TRL's {config}: did you mean {near}?{instead}"
