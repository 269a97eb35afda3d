-- The tokens that people made are paged by name; those of builds, of which there are many more, stand elsewhere.

create index token_of_people on token (name, id) where role is not null;
