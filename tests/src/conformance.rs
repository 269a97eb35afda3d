//! What every records adapter promises, one function per promise. [`conformance!`](macro@crate::conformance)
//! makes a test of each against fresh, empty records.

#![expect(missing_docs, reason = "the name of each function is the promise it checks")]
#![expect(clippy::unwrap_used, reason = "a failing promise is a panic")]

pub mod addons;
pub mod applications;
pub mod audit;
pub mod builds;
pub mod declared_checks;
pub mod definitions;
pub mod deliveries;
pub mod deployments;
pub mod failures;
pub mod git;
pub mod incidents;
pub mod lineage;
pub mod logs;
pub mod orders;
pub mod packages;
pub mod pages;
pub mod places;
mod prelude;
pub mod pull_tokens;
pub mod queue;
pub mod reconcile;
pub mod registry;
pub mod resolutions;
pub mod rollbacks;
pub mod rotations;
pub mod runs;
pub mod secret_uses;
pub mod secrets;
mod selection_model;
pub mod selections;
pub mod sign_ins;
pub mod tokens;
pub mod transactions;
pub mod upkeep;
pub mod uploads;

/// One test per promise. `$make` is an `async fn` that gives `(Arc<dyn Records>, guard)`: fresh, empty
/// records that live until the guard is dropped.
#[macro_export]
macro_rules! conformance {
    ($make:path) => {
        $crate::conformance! { $make;
            addons [
                an_add_on_is_kept_whole_and_its_name_is_taken_until_it_is_released
                an_add_on_is_saved_only_on_the_version_read
                an_application_is_bound_once_in_an_environment_until_that_ends
            ]
            applications [
                a_source_is_found_by_id_and_name
                sources_are_listed_by_name
                sources_are_paged_by_name
                a_source_name_is_taken_once
                a_failed_sweep_keeps_the_time_of_the_last_good_one
                an_application_is_found_by_id_and_name
                an_application_name_is_taken_once
                applications_are_listed_by_name_and_source
                a_deleted_application_is_hidden_and_continues_when_made_again
            ]
            builds [
                builds_are_kept_whole_and_listed_by_position
                builds_that_exist_stay_as_they_are
                a_build_is_saved_only_on_the_generation_read
                a_result_belongs_to_its_application_component_and_fingerprint
                a_newer_result_takes_the_place_of_an_older_one
            ]
            declared_checks [
                checks_of_a_bundle_are_kept_whole_and_made_once
                a_check_is_saved_only_on_the_generation_read
                what_is_not_green_holds_until_it_is_waived
                only_a_check_that_passed_by_itself_serves_others
            ]
            definitions [
                a_definition_is_kept_whole_and_a_version_is_taken_once
                a_definition_is_disabled_and_removed_by_its_version
                the_blob_of_a_definition_stays_and_one_being_removed_is_refused
                a_definition_is_used_until_its_deployment_ends
                the_first_hold_stays_until_somebody_says_otherwise
                only_the_newest_configurations_are_in_force
            ]
            deliveries [
                a_delivery_is_kept_whole
                a_repeated_delivery_is_found
                deliveries_without_external_id_are_all_kept
                deliveries_are_paged_newest_first
                a_delivery_is_settled_once
                a_named_commit_is_known_by_source_ref_and_commit
                the_last_hundred_refusals_are_kept_and_all_are_counted
                parallel_repeats_of_a_delivery_make_one
            ]
            audit [
                every_audit_entry_covers_the_one_before
            ]
            deployments [
                a_cluster_is_kept_whole_and_its_name_and_uid_are_taken_once
                an_environment_is_found_by_name_and_address_and_saved_on_the_revision_read
                every_version_of_a_configuration_is_kept
                a_level_follows_one_file_and_remembers_what_was_seen
                what_is_followed_anew_is_not_taken_for_what_was
                a_deployment_is_kept_whole_and_numbered_in_its_place
                generations_of_an_address_go_on_when_its_environment_is_made_anew
                a_deployment_is_saved_only_on_the_version_read
                deployments_are_filtered_before_the_limit
                generations_never_fall_at_an_address
                the_newest_deployment_that_went_out_is_what_runs
                what_never_went_out_is_found_until_something_newer_is_asked_for
                what_a_receiver_says_is_saved_only_on_the_version_read
                a_person_has_one_word_on_a_deployment
                holds_and_checks_are_kept_and_let_go
            ]
            failures [
                a_failure_is_kept_whole_and_once_for_each_attempt
                what_failed_is_kept_when_something_newer_takes_its_place
                the_oldest_failures_of_a_place_go_with_their_logs
            ]
            git [
                packs_are_numbered_in_their_source
                a_pack_is_adopted_by_its_digest
                refs_move_only_from_what_they_point_to
                refs_are_sorted_by_name
                the_revision_rises_with_every_change
                parallel_moves_of_a_ref_have_one_winner
                one_pack_takes_the_place_of_several
                packs_that_are_gone_are_not_replaced
                parallel_replacements_and_additions_lose_no_pack
            ]
            incidents [
                one_incident_of_a_kind_is_open_in_a_place
                incidents_are_filtered_before_the_limit
                a_channel_is_told_once_and_oldest_first
                what_came_of_a_notice_is_noted_once
                what_was_given_up_is_listed_and_may_be_sent_again
                incidents_that_are_over_are_forgotten_by_age
            ]
            lineage [
                bundles_are_found_by_what_they_consist_of
                every_change_of_a_label_is_kept
            ]
            logs [
                chunks_follow_one_another
                chunks_are_read_from_any_offset
                the_last_mark_tells_how_far_a_log_reaches
            ]
            orders [
                an_order_is_kept_whole_and_settled_once
                orders_are_pending_in_their_order_and_listed_newest_first
            ]
            packages [
                branch_numbers_are_never_given_twice
                branch_numbers_outlive_the_application
                a_version_is_kept_whole
                a_version_is_published_once
                versions_are_paged_newest_first
                versions_are_filtered_before_the_limit
                commits_are_found_by_their_first_digits
                versions_are_filtered_by_labels
                a_package_is_found_by_the_fingerprint_it_was_first_published_with
                labels_are_changed_by_compare_and_swap
                a_label_is_overwritten_and_removed_without_check
                channels_move_by_compare_and_swap
                every_move_of_a_channel_is_kept
                parallel_moves_of_a_channel_have_one_winner
            ]
            pages [
                applications_are_paged_by_full_name
                sources_are_looked_up_together
                clusters_are_paged_by_name
                environments_are_paged_by_name
                add_ons_are_paged_by_name_with_their_bindings
                channels_are_paged_by_name
                secrets_are_paged_by_name_and_by_what_that_begins_with
            ]
            places [
                nothing_is_deployed_in_an_environment_that_was_removed
                environments_that_were_removed_are_found_by_name
                a_removal_and_a_deployment_at_the_same_time_have_one_winner
                no_add_on_and_no_binding_comes_to_an_environment_that_was_removed
                a_removal_and_an_add_on_at_the_same_time_have_one_winner
                what_is_out_is_found_by_its_environment
                what_is_out_and_on_its_way_is_found_among_places
                what_runs_not_as_it_was_wanted_is_found
                the_first_hold_of_a_place_stays
            ]
            pull_tokens [
                a_token_that_pulls_has_no_role_and_is_listed
                a_token_is_found_by_its_name_until_it_is_revoked
                tokens_that_pull_are_found_by_place_and_end_with_it
                a_token_that_pulls_ends_with_the_last_deployment_of_its_place
                stages_of_one_namespace_keep_what_their_pull_secret_may_hold
            ]
            queue [
                a_job_is_claimed_once_and_done
                only_the_kinds_asked_for_are_claimed
                a_delayed_job_waits
                ready_jobs_with_one_key_are_one
                a_leased_job_can_be_queued_anew
                a_job_given_back_merges_with_its_ready_twin
                attempts_count_only_when_told
                a_lost_lease_counts_a_loss_and_fences_the_loser
                a_heartbeat_keeps_the_lease
                a_buried_job_is_dead_and_shown
                dead_jobs_are_paged_newest_first
                released_jobs_are_ready_and_count_a_loss
                a_job_given_back_has_lost_none
                a_poisoned_job_stays_poisoned
                jobs_lost_again_and_again_are_due_apart
                a_suspected_job_stays_apart_as_its_twin
                released_jobs_with_one_key_are_one
                one_key_is_never_leased_twice
                applications_take_turns
                older_jobs_of_an_application_go_first
                the_depth_counts_by_kind_and_state
                done_jobs_are_forgotten_by_age
                news_of_a_job_comes_after_commit
                every_job_is_completed_once_whatever_happens
            ]
            reconcile [
                what_the_core_knows_is_kept_whole_and_saved_only_on_the_version_read
                parallel_saves_of_a_state_have_one_winner
                one_application_in_two_environments_is_two_states
                events_are_read_from_any_number_oldest_first
                the_number_of_an_event_is_taken_once
                events_of_earlier_generations_are_forgotten
                the_first_and_the_newest_events_of_a_generation_are_kept
                keys_of_a_cluster_are_paged
                what_is_removed_takes_its_events_and_comes_back_by_nobody_late
                a_dropped_save_leaves_neither_state_nor_events
                a_document_is_kept_up_to_the_limit
                deployments_of_which_less_was_heard_than_was_told_are_found
            ]
            registry [
                a_blob_belongs_to_its_repository
                a_blob_may_lie_in_another_registry
                a_link_to_stored_bytes_stays_one
                a_manifest_is_kept_whole
                tags_move_and_are_listed_in_byte_order
                tags_move_by_compare_and_swap
                deleting_a_manifest_takes_its_tags
                referrers_are_sorted_by_digest
                what_of_many_is_tagged_or_referred_to_is_found_at_once
                repositories_are_listed_in_byte_order
            ]
            resolutions [
                the_last_resolution_of_a_reference_is_kept
                old_resolutions_go_a_few_at_a_time
            ]
            rollbacks [
                the_last_live_revisions_are_kept_however_often_each_was_live
                a_kept_generation_is_found_by_any_part_of_its_bundle
            ]
            rotations [
                a_rotation_is_kept_whole_and_ends_once
                a_place_is_restarted_once_for_each_version
            ]
            runs [
                a_run_is_kept_whole_and_numbered_in_its_application
                a_commit_of_a_ref_makes_one_run
                a_retry_is_a_new_run_and_the_latest_is_found
                parallel_inserts_of_one_key_make_one_run
                a_run_is_saved_only_on_the_generation_read
                parallel_saves_have_one_winner
                runs_are_paged_newest_first
                runs_are_filtered_before_the_limit
                live_runs_are_listed_oldest_first
                applications_whose_last_run_failed_are_found
                the_last_done_run_of_a_ref_is_found
            ]
            secret_uses [
                who_uses_a_secret_is_told_while_it_is_out_or_on_its_way
                what_was_frozen_without_notes_is_found_until_it_is_noted
            ]
            secrets [
                a_secret_counts_its_versions_and_goes_on_after_removal
                secrets_are_listed_by_name
            ]
            selections [
                selections_agree_with_a_slow_and_obvious_model
                ranges_on_builds_of_branches_do_what_is_said
                an_explanation_says_why_and_what_to_do
                what_holds_a_bundle_is_told_by_a_command
                a_label_that_changes_is_selected_by_at_once
                a_removed_bundle_is_selected_no_more
                an_environment_runs_one_bundle_of_an_application
                a_bundle_that_was_deployed_stays
            ]
            sign_ins [
                a_sign_in_is_kept_whole_and_found_by_its_hash
                a_sign_in_is_seen_to_the_minute
                sign_ins_end_by_hash_and_by_age
            ]
            tokens [
                a_token_is_found_by_hash
                a_token_name_is_taken_by_a_live_token_only
                tokens_of_people_are_listed_by_name
                tokens_of_people_are_paged_with_or_without_those_that_ended
                only_an_end_of_a_token_of_people_counts_as_one
                use_is_noted_to_the_minute
                a_token_is_revoked_once
            ]
            transactions [
                a_dropped_transaction_never_happened
                readers_see_nothing_before_commit
                a_writer_sees_its_own_writes
                news_of_runs_comes_after_commit_only
                writers_wait_for_their_turn
                the_records_answer_and_describe_themselves
            ]
            uploads [
                parts_of_an_upload_follow_one_another
                one_of_two_parts_at_once_is_kept
                uploads_are_forgotten_by_name_and_by_age
            ]
            upkeep [
                versions_of_deleted_branches_may_go
                a_removed_version_is_never_published_again
                versions_that_people_chose_stay
                packages_stay_while_a_bundle_has_them
                what_nothing_names_leaves_its_repository
                a_removed_version_leaves_its_tags_and_its_manifest_can_go
                signatures_stay_with_what_they_sign_and_go_with_it
                old_logs_go_whole
                expired_tokens_of_builds_go
                cached_steps_and_copies_of_bases_go_when_they_are_old
                everything_that_refers_to_a_blob_holds_it
                a_condemned_blob_cannot_be_referred_to_until_released
                a_blob_referred_to_again_waits_anew
                a_blob_that_lies_elsewhere_needs_no_bytes
                what_is_stored_is_as_it_was_measured_last
            ]
        }
    };
    ($make:path; $($module:ident [$($promise:ident)*])*) => {
        $(mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let (records, guard) = $make().await;
                    $crate::conformance::$module::$promise(records).await;
                    drop(guard);
                }
            )*
        })*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_promise_is_in_the_list() {
        let list = include_str!("conformance.rs");
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let source = std::fs::read_to_string(&path).unwrap();
            for line in source.lines() {
                let Some(rest) = line.strip_prefix("pub async fn ") else { continue };
                let name = rest.split('(').next().unwrap();
                let listed = list.lines().any(|line| line.trim() == name);
                assert!(listed, "{name} of {} is not in `conformance!`", path.display());
            }
        }
    }
}
