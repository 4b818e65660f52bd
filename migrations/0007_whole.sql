-- Whether a volume was ever made, what is asked of the rows of own images, and the end of what was deleted long ago.

-- FALSE until its engine has made it: only then it may still start as its snapshot.
ALTER TABLE volumes ADD COLUMN made BOOLEAN NOT NULL DEFAULT TRUE;
UPDATE volumes SET made = FALSE WHERE id IN (
    SELECT resource_uuid FROM actions WHERE resource_uuid IS NOT NULL AND resource_type = 'volume' AND type = 'create' AND status <> 'completed'
);

-- Droplets that were made from own images, and those whose disk is being started anew.
CREATE INDEX droplets_by_own_image ON droplets (image_id) WHERE image_slug IS NULL;
CREATE INDEX droplets_by_next_image ON droplets (next_image_id) WHERE next_image_id IS NOT NULL;

CREATE INDEX images_deleted ON images (id) WHERE deleted_at IS NOT NULL;
CREATE INDEX teardowns_completed ON teardowns (completed_at) WHERE completed_at IS NOT NULL;
