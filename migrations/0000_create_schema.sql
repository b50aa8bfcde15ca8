CREATE TABLE `ai_calls` (
	`batch_id` text NOT NULL,
	`ordinal` text NOT NULL,
	`created_at` integer NOT NULL,
	`topic` text NOT NULL,
	`call_type` text NOT NULL,
	`model_key` text NOT NULL,
	`model_id` text NOT NULL,
	`prompt` blob NOT NULL,
	`response` blob NOT NULL,
	`input_tokens` integer NOT NULL,
	`output_tokens` integer NOT NULL,
	`cost` real NOT NULL,
	`metadata` blob,
	PRIMARY KEY(`batch_id`, `ordinal`),
	CONSTRAINT "ai_calls_row_fits" CHECK(iif(typeof("prompt") = 'integer', "prompt" & 2047, ifnull(octet_length("prompt"), 0)) + iif(typeof("response") = 'integer', "response" & 2047, ifnull(octet_length("response"), 0)) + iif(typeof("metadata") = 'integer', "metadata" & 2047, ifnull(octet_length("metadata"), 0)) <= 1900000)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `ai_calls_batched_age_idx` ON `ai_calls` (`created_at`) WHERE "batch_id" <> '';--> statement-breakpoint
CREATE TABLE `annotations` (
	`workflow_run_id` text NOT NULL,
	`ordinal` text NOT NULL,
	`created_at` integer NOT NULL,
	`workflow_stage_record_id` text,
	`attempt` integer NOT NULL,
	`scope` text NOT NULL,
	`scope_id` text,
	`actor_kind` text,
	`actor_id` text,
	`actor_version` text,
	`key` text NOT NULL,
	`value` blob NOT NULL,
	`payload` blob,
	`idempotency_key` text,
	`commits` text NOT NULL,
	PRIMARY KEY(`workflow_run_id`, `ordinal`),
	FOREIGN KEY (`workflow_run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "annotations_row_fits" CHECK(iif(typeof("value") = 'integer', "value" & 2047, ifnull(octet_length("value"), 0)) + iif(typeof("payload") = 'integer', "payload" & 2047, ifnull(octet_length("payload"), 0)) <= 1900000)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE UNIQUE INDEX `annotations_idempotency_idx` ON `annotations` (`workflow_run_id`,`key`,`idempotency_key`) WHERE "idempotency_key" IS NOT NULL;--> statement-breakpoint
CREATE TABLE `artifacts` (
	`workflow_run_id` text NOT NULL,
	`key` text NOT NULL,
	`ordinal` text NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`workflow_stage_id` text,
	`type` text NOT NULL,
	`data` blob NOT NULL,
	`size` real NOT NULL,
	`metadata` blob,
	`commits` text NOT NULL,
	PRIMARY KEY(`workflow_run_id`, `key`),
	FOREIGN KEY (`workflow_run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "artifacts_row_fits" CHECK(iif(typeof("data") = 'integer', "data" & 2047, ifnull(octet_length("data"), 0)) + iif(typeof("metadata") = 'integer', "metadata" & 2047, ifnull(octet_length("metadata"), 0)) <= 1900000)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `idempotency_keys` (
	`key` text NOT NULL,
	`command_type` text NOT NULL,
	`created_at` integer NOT NULL,
	`state` text NOT NULL,
	`acquired_at` integer NOT NULL,
	`result` blob,
	`commits` text NOT NULL,
	PRIMARY KEY(`key`, `command_type`),
	CONSTRAINT "idempotency_keys_row_fits" CHECK(iif(typeof("result") = 'integer', "result" & 2047, ifnull(octet_length("result"), 0)) <= 1900000),
	CONSTRAINT "idempotency_keys_state_known" CHECK("state" IN ('in_progress', 'completed'))
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `idempotency_keys_age_idx` ON `idempotency_keys` (`acquired_at`);--> statement-breakpoint
CREATE TABLE `jobs` (
	`workflow_run_id` text NOT NULL,
	`ordinal` text NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`workflow_id` text NOT NULL,
	`stage_id` text NOT NULL,
	`status` text NOT NULL,
	`priority` integer NOT NULL,
	`worker_id` text,
	`locked_at` integer,
	`started_at` integer,
	`completed_at` integer,
	`attempt` integer NOT NULL,
	`max_attempts` integer NOT NULL,
	`last_error` text,
	`next_poll_at` integer,
	`payload` blob NOT NULL,
	`delayed` integer NOT NULL,
	`commits` text NOT NULL,
	`dedupe_key` text,
	`concurrency_key` text,
	`concurrency_limit` integer,
	`failures` integer DEFAULT 0 NOT NULL,
	`undelivered` integer DEFAULT 0 NOT NULL,
	`resume_at` integer,
	`hand_over_at` integer,
	`unanswered` integer DEFAULT 0 NOT NULL,
	PRIMARY KEY(`workflow_run_id`, `ordinal`),
	CONSTRAINT "jobs_row_fits" CHECK(iif(typeof("payload") = 'integer', "payload" & 2047, ifnull(octet_length("payload"), 0)) <= 1900000),
	CONSTRAINT "jobs_error_fits" CHECK(ifnull(octet_length("last_error"), 0) <= 65536),
	CONSTRAINT "jobs_status_known" CHECK("status" IN ('PENDING', 'RUNNING', 'SUSPENDED', 'COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'))
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `jobs_ready_idx` ON `jobs` ("priority" DESC,`ordinal`) WHERE "status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NULL;--> statement-breakpoint
CREATE INDEX `jobs_ready_keyed_idx` ON `jobs` (`concurrency_key`,"priority" DESC,`ordinal`) WHERE "status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `jobs_leased_keyed_idx` ON `jobs` (`concurrency_key`) WHERE "status" = 'RUNNING' AND "concurrency_key" IS NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `jobs_dedupe_idx` ON `jobs` (`dedupe_key`) WHERE "dedupe_key" IS NOT NULL AND "status" IN ('PENDING', 'RUNNING', 'SUSPENDED');--> statement-breakpoint
CREATE INDEX `jobs_failed_idx` ON `jobs` (`completed_at`) WHERE "status" = 'FAILED';--> statement-breakpoint
CREATE INDEX `jobs_delayed_idx` ON `jobs` (`next_poll_at`) WHERE "status" = 'PENDING' AND "delayed" = 1;--> statement-breakpoint
CREATE INDEX `jobs_leased_idx` ON `jobs` (`locked_at`) WHERE "status" = 'RUNNING';--> statement-breakpoint
CREATE INDEX `jobs_suspended_idx` ON `jobs` (`next_poll_at`) WHERE "status" = 'SUSPENDED';--> statement-breakpoint
CREATE INDEX `jobs_resume_idx` ON `jobs` (`resume_at`) WHERE "status" = 'SUSPENDED';--> statement-breakpoint
CREATE INDEX `jobs_hand_over_idx` ON `jobs` (`hand_over_at`) WHERE "hand_over_at" IS NOT NULL;--> statement-breakpoint
CREATE TABLE `logs` (
	`workflow_run_id` text NOT NULL,
	`ordinal` text NOT NULL,
	`created_at` integer NOT NULL,
	`workflow_stage_id` text,
	`level` text NOT NULL,
	`message` blob NOT NULL,
	`metadata` blob,
	PRIMARY KEY(`workflow_run_id`, `ordinal`),
	CONSTRAINT "logs_row_fits" CHECK(iif(typeof("message") = 'integer', "message" & 2047, ifnull(octet_length("message"), 0)) + iif(typeof("metadata") = 'integer', "metadata" & 2047, ifnull(octet_length("metadata"), 0)) <= 1900000)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `outbox_events` (
	`workflow_run_id` text NOT NULL,
	`sequence` integer NOT NULL,
	`event_type` text NOT NULL,
	`payload` blob NOT NULL,
	`causation_id` text NOT NULL,
	`occurred_at` integer NOT NULL,
	`published_at` integer,
	`retry_count` integer NOT NULL,
	`dlq_at` integer,
	`commits` text NOT NULL,
	`turn` integer,
	`count_after` integer,
	PRIMARY KEY(`workflow_run_id`, `sequence`),
	CONSTRAINT "outbox_events_row_fits" CHECK(iif(typeof("payload") = 'integer', "payload" & 2047, ifnull(octet_length("payload"), 0)) <= 1900000)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `outbox_events_turn_idx` ON `outbox_events` (`turn`,`workflow_run_id`) WHERE "turn" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `outbox_events_waiting_idx` ON `outbox_events` (`workflow_run_id`,`sequence`) WHERE "published_at" IS NULL AND "dlq_at" IS NULL;--> statement-breakpoint
CREATE INDEX `outbox_events_dlq_idx` ON `outbox_events` (`dlq_at`) WHERE "dlq_at" IS NOT NULL;--> statement-breakpoint
CREATE TABLE `runs` (
	`id` text PRIMARY KEY NOT NULL,
	`ordinal` text NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`version` integer NOT NULL,
	`workflow_id` text NOT NULL,
	`workflow_name` text NOT NULL,
	`workflow_type` text NOT NULL,
	`status` text NOT NULL,
	`started_at` integer,
	`completed_at` integer,
	`duration` real,
	`input` blob NOT NULL,
	`output` blob,
	`config` blob NOT NULL,
	`total_cost` real NOT NULL,
	`total_tokens` integer NOT NULL,
	`priority` integer NOT NULL,
	`metadata` blob,
	`commits` text NOT NULL,
	CONSTRAINT "runs_row_fits" CHECK(iif(typeof("input") = 'integer', "input" & 2047, ifnull(octet_length("input"), 0)) + iif(typeof("output") = 'integer', "output" & 2047, ifnull(octet_length("output"), 0)) + iif(typeof("config") = 'integer', "config" & 2047, ifnull(octet_length("config"), 0)) + iif(typeof("metadata") = 'integer', "metadata" & 2047, ifnull(octet_length("metadata"), 0)) <= 1900000),
	CONSTRAINT "runs_status_known" CHECK("status" IN ('PENDING', 'RUNNING', 'SUSPENDED', 'COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'))
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `runs_pending_idx` ON `runs` ("priority" DESC,`ordinal`) WHERE "status" = 'PENDING';--> statement-breakpoint
CREATE INDEX `runs_status_idx` ON `runs` (`status`,`created_at`,`ordinal`);--> statement-breakpoint
CREATE INDEX `runs_workflow_idx` ON `runs` (`workflow_id`,`created_at`,`ordinal`);--> statement-breakpoint
CREATE TABLE `signals` (
	`workflow_run_id` text NOT NULL,
	`id` text NOT NULL,
	`name` text NOT NULL,
	`ordinal` text NOT NULL,
	`received_at` integer NOT NULL,
	`payload` blob NOT NULL,
	`taken_at` integer,
	PRIMARY KEY(`workflow_run_id`, `id`),
	FOREIGN KEY (`workflow_run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "signals_row_fits" CHECK(iif(typeof("payload") = 'integer', "payload" & 2047, ifnull(octet_length("payload"), 0)) <= 1900000)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `stage_attempts` (
	`workflow_run_id` text NOT NULL,
	`stage_id` text NOT NULL,
	`id` text NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`version` integer NOT NULL,
	`stage_name` text NOT NULL,
	`stage_number` integer NOT NULL,
	`execution_group` integer NOT NULL,
	`attempt` integer NOT NULL,
	`status` text NOT NULL,
	`started_at` integer,
	`completed_at` integer,
	`duration` real,
	`input_data` blob,
	`output_data` blob,
	`config` blob,
	`suspended_state` blob,
	`resume_data` blob,
	`next_poll_at` integer,
	`poll_interval` real,
	`max_wait_until` integer,
	`metrics` blob,
	`embedding_info` blob,
	`error_message` blob,
	`commits` text NOT NULL,
	`attend_at` integer,
	PRIMARY KEY(`workflow_run_id`, `id`),
	FOREIGN KEY (`workflow_run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "stage_attempts_row_fits" CHECK(iif(typeof("input_data") = 'integer', "input_data" & 2047, ifnull(octet_length("input_data"), 0)) + iif(typeof("output_data") = 'integer', "output_data" & 2047, ifnull(octet_length("output_data"), 0)) + iif(typeof("config") = 'integer', "config" & 2047, ifnull(octet_length("config"), 0)) + iif(typeof("suspended_state") = 'integer', "suspended_state" & 2047, ifnull(octet_length("suspended_state"), 0)) + iif(typeof("resume_data") = 'integer', "resume_data" & 2047, ifnull(octet_length("resume_data"), 0)) + iif(typeof("metrics") = 'integer', "metrics" & 2047, ifnull(octet_length("metrics"), 0)) + iif(typeof("embedding_info") = 'integer', "embedding_info" & 2047, ifnull(octet_length("embedding_info"), 0)) + iif(typeof("error_message") = 'integer', "error_message" & 2047, ifnull(octet_length("error_message"), 0)) <= 1900000)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `stages` (
	`workflow_run_id` text NOT NULL,
	`stage_id` text NOT NULL,
	`id` text NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`version` integer NOT NULL,
	`stage_name` text NOT NULL,
	`stage_number` integer NOT NULL,
	`execution_group` integer NOT NULL,
	`attempt` integer NOT NULL,
	`status` text NOT NULL,
	`started_at` integer,
	`completed_at` integer,
	`duration` real,
	`input_data` blob,
	`output_data` blob,
	`config` blob,
	`suspended_state` blob,
	`resume_data` blob,
	`next_poll_at` integer,
	`poll_interval` real,
	`max_wait_until` integer,
	`metrics` blob,
	`embedding_info` blob,
	`error_message` blob,
	`commits` text NOT NULL,
	`attend_at` integer,
	PRIMARY KEY(`workflow_run_id`, `stage_id`),
	FOREIGN KEY (`workflow_run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "stages_row_fits" CHECK(iif(typeof("input_data") = 'integer', "input_data" & 2047, ifnull(octet_length("input_data"), 0)) + iif(typeof("output_data") = 'integer', "output_data" & 2047, ifnull(octet_length("output_data"), 0)) + iif(typeof("config") = 'integer', "config" & 2047, ifnull(octet_length("config"), 0)) + iif(typeof("suspended_state") = 'integer', "suspended_state" & 2047, ifnull(octet_length("suspended_state"), 0)) + iif(typeof("resume_data") = 'integer', "resume_data" & 2047, ifnull(octet_length("resume_data"), 0)) + iif(typeof("metrics") = 'integer', "metrics" & 2047, ifnull(octet_length("metrics"), 0)) + iif(typeof("embedding_info") = 'integer', "embedding_info" & 2047, ifnull(octet_length("embedding_info"), 0)) + iif(typeof("error_message") = 'integer', "error_message" & 2047, ifnull(octet_length("error_message"), 0)) <= 1900000),
	CONSTRAINT "stages_status_known" CHECK("status" IN ('PENDING', 'RUNNING', 'SUSPENDED', 'COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'))
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `stages_suspended_idx` ON `stages` (`next_poll_at`) WHERE "status" = 'SUSPENDED' AND "next_poll_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `stages_attend_idx` ON `stages` (`attend_at`) WHERE "attend_at" IS NOT NULL;--> statement-breakpoint
CREATE TABLE `ai_call_totals` (
	`topic` text NOT NULL,
	`model_key` text NOT NULL,
	`calls` integer NOT NULL,
	`input_tokens` integer NOT NULL,
	`output_tokens` integer NOT NULL,
	`cost` real NOT NULL,
	PRIMARY KEY(`topic`, `model_key`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `annotated_runs` (
	`key` text NOT NULL,
	`value` text NOT NULL,
	`created_at` integer NOT NULL,
	`ordinal` text NOT NULL,
	`workflow_run_id` text NOT NULL,
	PRIMARY KEY(`key`, `value`, `created_at`, `ordinal`, `workflow_run_id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `commits` (
	`id` text PRIMARY KEY NOT NULL,
	`outcome` text NOT NULL,
	CONSTRAINT "commits_outcome_known" CHECK("outcome" IN ('applied', 'fenced', 'unknown'))
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `long_texts` (
	`id` integer PRIMARY KEY NOT NULL,
	`text` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `outbox_tails` (
	`workflow_run_id` text PRIMARY KEY NOT NULL,
	`sequence` integer NOT NULL
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `watched_runs` (
	`workflow_run_id` text PRIMARY KEY NOT NULL,
	`until` integer NOT NULL
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `watched_runs_until_idx` ON `watched_runs` (`until`);--> statement-breakpoint
CREATE TABLE `workflows` (
	`workflow_type` text NOT NULL,
	`workflow_id` text NOT NULL,
	`workflow_name` text NOT NULL,
	PRIMARY KEY(`workflow_type`, `workflow_id`, `workflow_name`)
) WITHOUT ROWID;
