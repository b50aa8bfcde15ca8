DROP INDEX `jobs_ready_idx`;--> statement-breakpoint
ALTER TABLE `jobs` ADD `dedupe_key` text;--> statement-breakpoint
ALTER TABLE `jobs` ADD `concurrency_key` text;--> statement-breakpoint
ALTER TABLE `jobs` ADD `concurrency_limit` integer;--> statement-breakpoint
CREATE INDEX `jobs_ready_keyed_idx` ON `jobs` (`concurrency_key`,"priority" DESC,`ordinal`) WHERE "status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `jobs_leased_keyed_idx` ON `jobs` (`concurrency_key`) WHERE "status" = 'RUNNING' AND "concurrency_key" IS NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `jobs_dedupe_idx` ON `jobs` (`dedupe_key`) WHERE "dedupe_key" IS NOT NULL AND "status" IN ('PENDING', 'RUNNING', 'SUSPENDED');--> statement-breakpoint
CREATE INDEX `jobs_failed_idx` ON `jobs` (`completed_at`) WHERE "status" = 'FAILED';--> statement-breakpoint
CREATE INDEX `jobs_ready_idx` ON `jobs` ("priority" DESC,`ordinal`) WHERE "status" = 'PENDING' AND "delayed" = 0 AND "concurrency_key" IS NULL;--> statement-breakpoint
CREATE INDEX `idempotency_keys_age_idx` ON `idempotency_keys` (`acquired_at`);