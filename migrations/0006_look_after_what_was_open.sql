UPDATE `stages` SET `attend_at` = min(`next_poll_at` + 86400000, 253402300799999)
WHERE `status` = 'SUSPENDED' AND `next_poll_at` IS NOT NULL AND `attend_at` IS NULL
AND EXISTS (SELECT 1 FROM `runs` WHERE `runs`.`id` = `stages`.`workflow_run_id` AND `runs`.`status` IN ('PENDING', 'RUNNING', 'SUSPENDED'));--> statement-breakpoint
UPDATE `jobs` SET `resume_at` = `next_poll_at` WHERE `status` = 'SUSPENDED' AND `resume_at` IS NULL;--> statement-breakpoint
UPDATE `jobs` SET `hand_over_at` = ifnull(`completed_at`, `updated_at`) WHERE `status` = 'FAILED' AND `hand_over_at` IS NULL
AND EXISTS (SELECT 1 FROM `runs` WHERE `runs`.`id` = `jobs`.`workflow_run_id` AND `runs`.`status` IN ('PENDING', 'RUNNING', 'SUSPENDED'));
