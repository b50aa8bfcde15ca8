ALTER TABLE `jobs` ADD `resume_at` integer;--> statement-breakpoint
ALTER TABLE `jobs` ADD `hand_over_at` integer;--> statement-breakpoint
CREATE INDEX `jobs_resume_idx` ON `jobs` (`resume_at`) WHERE "status" = 'SUSPENDED';--> statement-breakpoint
CREATE INDEX `jobs_hand_over_idx` ON `jobs` (`hand_over_at`) WHERE "hand_over_at" IS NOT NULL;--> statement-breakpoint
ALTER TABLE `stages` ADD `attend_at` integer;--> statement-breakpoint
CREATE INDEX `stages_attend_idx` ON `stages` (`attend_at`) WHERE "attend_at" IS NOT NULL;