CREATE TABLE `annotated_runs` (
	`key` text NOT NULL,
	`value` text NOT NULL,
	`created_at` integer NOT NULL,
	`ordinal` text NOT NULL,
	`workflow_run_id` text NOT NULL,
	PRIMARY KEY(`key`, `value`, `created_at`, `ordinal`, `workflow_run_id`)
) WITHOUT ROWID;
--> statement-breakpoint
INSERT OR IGNORE INTO `annotated_runs` SELECT `annotations`.`key`, `annotations`.`value`, `runs`.`created_at`, `runs`.`ordinal`, `runs`.`id`
FROM `annotations` CROSS JOIN `runs` ON `runs`.`id` = `annotations`.`workflow_run_id` WHERE octet_length(`annotations`.`value`) <= 256;--> statement-breakpoint
DROP INDEX `runs_status_idx`;--> statement-breakpoint
CREATE INDEX `runs_pending_idx` ON `runs` ("priority" DESC,`ordinal`) WHERE "status" = 'PENDING';--> statement-breakpoint
CREATE INDEX `runs_workflow_idx` ON `runs` (`workflow_id`,`created_at`,`ordinal`);--> statement-breakpoint
CREATE INDEX `runs_type_idx` ON `runs` (`workflow_type`,`created_at`,`ordinal`);--> statement-breakpoint
CREATE INDEX `runs_name_idx` ON `runs` (`workflow_name`,`created_at`,`ordinal`);--> statement-breakpoint
CREATE INDEX `runs_status_idx` ON `runs` (`status`,`created_at`,`ordinal`);