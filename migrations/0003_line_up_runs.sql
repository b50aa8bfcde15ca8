ALTER TABLE `outbox_events` ADD `turn` integer;--> statement-breakpoint
CREATE INDEX `outbox_events_turn_idx` ON `outbox_events` (`turn`,`workflow_run_id`) WHERE "turn" IS NOT NULL;--> statement-breakpoint
UPDATE `outbox_events` SET `turn` = 1 WHERE "published_at" IS NULL AND "dlq_at" IS NULL AND `sequence` = (
	SELECT min(`waiting`.`sequence`) FROM `outbox_events` AS `waiting`
	WHERE `waiting`.`workflow_run_id` = `outbox_events`.`workflow_run_id` AND `waiting`.`published_at` IS NULL AND `waiting`.`dlq_at` IS NULL
);